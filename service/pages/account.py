"""The page of one's own account: who one is, what one uses, and one's tokens."""

from flask import Blueprint, Response
from werkzeug.wrappers import Response as BaseResponse

from fitqueue.account_views import NewTokenView
from service.api import tokens
from service.api.context import get_services, principal
from service.api.errors import validated
from service.api.me import read_me
from service.api.tokens import TokenPath
from service.pages import forms, patch_forms, token_lists
from service.pages.forms import Form
from service.pages.rendering import render


def register(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/account", "account", show)
    blueprint.add_url_rule("/account/tokens", "create_own_token", create_token, methods=["POST"])
    blueprint.add_url_rule("/account/tokens/<token_id>/revoke", "revoke_own_token", revoke_token, methods=["POST"])


def show() -> Response:
    return _page()


def create_token() -> BaseResponse:
    """Create a token, and show it this once."""
    return forms.handle("token", tokens.create, _page, lambda new: forms.unstored(_page(new=new)))


def revoke_token(token_id: str) -> BaseResponse:
    def revoke(_: object) -> None:
        tokens.revoke(validated(TokenPath, {"token_id": token_id}).token_id)

    return forms.handle("revoke", revoke, _page, forms.to("pages.account"))


def _page(form: Form | None = None, *, new: NewTokenView | None = None) -> Response:
    return render(
        "account.html",
        form.status if form else 200,
        account=read_me(get_services()),
        tokens=token_lists.split(tokens.read_tokens()),
        limits=patch_forms.LIMITS_OF_USER,
        scopes=token_lists.scopes_for(principal()),
        form=form,
        new=new,
    )
