"""Projects: who sees them, their share, their limits and their retention."""

from typing import Literal

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as BaseResponse

from service.api import projects, users
from service.api.errors import validated
from service.api.projects import MemberPath, ProjectPath
from service.pages import forms, patch_forms
from service.pages.forms import Form
from service.pages.rendering import render


def register(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/admin/projects", "admin_projects", show)
    for rule, endpoint, function in (
        ("/admin/projects", "create_project", create_project),
        ("/admin/projects/<project>", "change_project", change_project),
        ("/admin/projects/<project>/limits", "change_limits_of_project", change_limits),
        ("/admin/projects/<project>/retention", "change_retention_of_project", change_retention),
        ("/admin/projects/<project>/members", "add_project_member", add_member),
        ("/admin/projects/<project>/members/<user>/remove", "remove_project_member", remove_member),
    ):
        blueprint.add_url_rule(rule, endpoint, function, methods=["POST"])


def show() -> Response:
    return _page()


def create_project() -> BaseResponse:
    return forms.handle("new", projects.create, _page, forms.to("pages.admin_projects", "new"))


def change_project(project: str) -> BaseResponse:
    reference = validated(ProjectPath, {"project": project}).project
    saved = forms.to("pages.admin_projects", f"project-{project}")
    return forms.handle(f"project-{project}", lambda values: projects.change(reference, values), _page, saved)


def change_limits(project: str) -> BaseResponse:
    return _change_part(project, "limits")


def change_retention(project: str) -> BaseResponse:
    return _change_part(project, "retention")


def _change_part(project: str, part: Literal["limits", "retention"]) -> BaseResponse:
    reference = validated(ProjectPath, {"project": project}).project
    saved = forms.to("pages.admin_projects", f"project-{project}")
    return forms.handle(
        f"{part}-{project}", lambda _: projects.change(reference, patch_forms.posted(part)), _page, saved
    )


def add_member(project: str) -> BaseResponse:
    def add(values: dict[str, str]) -> None:
        member = validated(MemberPath, {**values, "project": project})
        projects.add_member(member.project, member.user)

    saved = forms.to("pages.admin_projects", f"project-{project}")
    return forms.handle(f"member-{project}", add, _page, saved)


def remove_member(project: str, user: str) -> BaseResponse:
    member = validated(MemberPath, {"project": project, "user": user})
    saved = forms.to("pages.admin_projects", f"project-{project}")
    return forms.handle(
        f"member-{project}", lambda _: projects.remove_member(member.project, member.user), _page, saved
    )


def _page(form: Form | None = None) -> Response:
    return render(
        "admin/projects.html",
        form.status if form else 200,
        projects=projects.read_projects(),
        users=[user.name for user in users.read_users() if user.disabled_at is None],
        max_share=users.MAX_SHARE,
        limits=patch_forms.LIMITS_OF_PROJECT,
        kept_days=patch_forms.KEPT_DAYS,
        form=form,
        saved=request.args.get("saved"),
    )
