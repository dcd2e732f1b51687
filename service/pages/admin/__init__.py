"""The pages for admins: one module and one template for each part."""

from typing import Final

from flask import Blueprint, redirect, url_for
from werkzeug.wrappers import Response as BaseResponse

from service.pages.admin import audit, projects, users, webhooks

PARTS: Final = (
    ("pages.admin_users", "admin.users"),
    ("pages.admin_projects", "admin.projects"),
    ("pages.admin_audit", "admin.audit"),
    ("pages.admin_webhooks", "admin.webhooks"),
)
"""The endpoint and the title of each part, in the order of the navigation."""


def register(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/admin", "admin", show)
    for part in (users, projects, audit, webhooks):
        part.register(blueprint)


def show() -> BaseResponse:
    """Lead to the first part."""
    return redirect(url_for(PARTS[0][0]), 303)
