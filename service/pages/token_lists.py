"""How tokens are listed on pages: those that are valid, and those that were."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fitqueue.account_views import TokenView
from fitqueue.roles import Scope
from service.store.principals import Principal


@dataclass
class TokenList:
    valid: list[TokenView] = field(default_factory=list)
    others: list[TokenView] = field(default_factory=list)
    """Those that were revoked or have expired."""


def split(tokens: Iterable[TokenView]) -> TokenList:
    """Return those that are valid now, and the others."""
    lists, now = TokenList(), datetime.now(UTC)
    for token in tokens:
        is_expired = token.expires_at is not None and token.expires_at <= now
        (lists.others if is_expired or token.revoked_at is not None else lists.valid).append(token)
    return lists


def scopes_for(who: Principal) -> list[Scope]:
    """Return the scopes that this user may give to a token, the widest one first."""
    return [scope for scope in reversed(Scope) if who.scope.includes(scope)]
