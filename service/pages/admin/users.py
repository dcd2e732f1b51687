"""Users: who they are, what they may do, and their tokens."""

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as BaseResponse

from fitqueue.account_views import NewTokenView
from fitqueue.roles import Role
from fitqueue.spec.parsing.job import MAX_PRIORITY
from service.api import tokens, users
from service.api.account_views import token_view
from service.api.context import get_services, principal
from service.api.errors import validated
from service.api.tokens import TokenPath
from service.api.users import UserPath
from service.models import Token
from service.pages import forms, patch_forms, token_lists
from service.pages.forms import Form
from service.pages.rendering import render
from service.pages.token_lists import TokenList
from service.store import tokens as stored_tokens


def register(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/admin/users", "admin_users", show)
    for rule, endpoint, function in (
        ("/admin/users", "create_user", create_user),
        ("/admin/users/<user>", "change_user", change_user),
        ("/admin/users/<user>/limits", "change_limits_of_user", change_limits),
        ("/admin/users/<user>/tokens", "create_token_of_user", create_token),
        ("/admin/users/tokens/<token_id>/revoke", "revoke_token_of_user", revoke_token),
    ):
        blueprint.add_url_rule(rule, endpoint, function, methods=["POST"])


def show() -> Response:
    return _page()


def create_user() -> BaseResponse:
    return forms.handle("new", users.create, _page, forms.to("pages.admin_users", "new"))


def change_user(user: str) -> BaseResponse:
    """Change what the user may do, or disable or enable them."""
    reference = validated(UserPath, {"user": user}).user
    saved = forms.to("pages.admin_users", f"user-{user}")
    return forms.handle(f"user-{user}", lambda values: users.change(reference, values), _page, saved)


def change_limits(user: str) -> BaseResponse:
    reference = validated(UserPath, {"user": user}).user
    saved = forms.to("pages.admin_users", f"user-{user}")
    return forms.handle(f"limits-{user}", lambda _: users.change(reference, patch_forms.posted("limits")), _page, saved)


def create_token(user: str) -> BaseResponse:
    """Create a token of the user, and show it this once."""

    def create(values: dict[str, str]) -> NewTokenView:
        return tokens.create({**values, "user": user})

    return forms.handle(f"token-{user}", create, _page, lambda new: forms.unstored(_page(new=new)))


def revoke_token(token_id: str) -> BaseResponse:
    reference = validated(TokenPath, {"token_id": token_id}).token_id
    saved = forms.to("pages.admin_users", "token")
    return forms.handle("token", lambda _: tokens.revoke(reference), _page, saved)


def _page(form: Form | None = None, *, new: NewTokenView | None = None) -> Response:
    return render(
        "admin/users.html",
        form.status if form else 200,
        users=users.read_users(),
        tokens=_read_tokens(),
        roles=list(Role),
        scopes=token_lists.scopes_for(principal()),
        max_priority=MAX_PRIORITY,
        max_share=users.MAX_SHARE,
        limits=patch_forms.LIMITS_OF_USER,
        form=form,
        saved=request.args.get("saved"),
        new=new,
    )


def _read_tokens() -> dict[str, TokenList]:
    """Return the tokens of all users, by the id of the user."""
    of_user: dict[str, list[Token]] = {}
    with get_services().database.read() as session:
        for row in stored_tokens.list_all(session):
            of_user.setdefault(row.user_id, []).append(row)
        return {id: token_lists.split(token_view(row, id) for row in rows) for id, rows in of_user.items()}
