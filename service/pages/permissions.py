"""What the user of a page may do, so that it has no button that the service would refuse."""

from dataclasses import dataclass

from service.api.access import ADMIN, CHANGE, OWN_ACCOUNT, SUBMIT
from service.store.principals import Principal


@dataclass(frozen=True)
class Permissions:
    who: Principal

    @property
    def submit(self) -> bool:
        return SUBMIT.allows(self.who)

    @property
    def administer(self) -> bool:
        return ADMIN.allows(self.who)

    @property
    def manage_tokens(self) -> bool:
        return OWN_ACCOUNT.allows(self.who)

    def change(self, owner: str | None) -> bool:
        """Tell whether the user may change a job or data set that belongs to the user with this name."""
        return self.why_not(owner) is None

    def why_not(self, owner: str | None) -> str | None:
        """Return the key of the words that say why the user may not change what this user owns; None if they may."""
        if not self.who.role.includes(CHANGE.role):
            return "hint.role"
        if not self.who.scope.includes(CHANGE.scope):
            return "hint.scope"
        return None if self.who.is_admin or owner == self.who.user else "hint.owner"
