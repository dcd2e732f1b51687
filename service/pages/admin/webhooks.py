"""Webhooks: to whom the ends of jobs are told, and what came of it."""

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as BaseResponse

from fitqueue.views import Page
from fitqueue.webhook_views import DeliveryView, NewWebhook
from fitqueue.webhooks import CHOSEN_EVENTS, DEFAULT_EVENTS, WebhookKind
from service.api import projects, webhooks
from service.api.errors import validated
from service.api.webhooks import DeliveryPath, WebhookListQuery, WebhookPath, WebhooksQuery
from service.pages import forms
from service.pages.forms import Form
from service.pages.parameters import read_query, url_with
from service.pages.rendering import render

PAGE = "pages.admin_webhooks"


def register(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/admin/webhooks", "admin_webhooks", show)
    blueprint.add_url_rule("/admin/webhooks/<webhook_id>", "admin_webhook", show_deliveries)
    for rule, endpoint, function in (
        ("/admin/webhooks", "create_webhook", create),
        ("/admin/webhooks/<webhook_id>/delete", "delete_webhook", delete),
        ("/admin/webhooks/<webhook_id>/test", "test_webhook", test),
        ("/admin/webhooks/<webhook_id>/deliveries/<delivery_id>/resend", "resend_delivery", resend),
    ):
        blueprint.add_url_rule(rule, endpoint, function, methods=["POST"])


def show() -> Response:
    return _page()


def show_deliveries(webhook_id: str) -> Response:
    """Show what was delivered to a webhook, newest first."""
    return _deliveries(validated(WebhookPath, {"webhook_id": webhook_id}))


def create() -> BaseResponse:
    """Create a webhook, and show its secret this once."""

    def perform(values: dict[str, str]) -> NewWebhook:
        return webhooks.create({**values, "events": request.form.getlist("events")})

    return forms.handle("new", perform, _page, lambda new: forms.unstored(_page(new=new)))


def delete(webhook_id: str) -> BaseResponse:
    path = validated(WebhookPath, {"webhook_id": webhook_id})
    return forms.handle("list", lambda _: webhooks.delete(path), _page, forms.to(PAGE, "list"))


def test(webhook_id: str) -> BaseResponse:
    """Send a test, and lead to the deliveries, which say what comes of it."""
    path = validated(WebhookPath, {"webhook_id": webhook_id})
    return forms.handle(
        "list", lambda _: webhooks.test(path), _page, forms.to("pages.admin_webhook", webhook_id=path.webhook_id)
    )


def resend(webhook_id: str, delivery_id: str) -> BaseResponse:
    path = validated(DeliveryPath, {"webhook_id": webhook_id, "delivery_id": delivery_id})

    def refused(form: Form) -> Response:
        return _deliveries(path, form)

    return forms.handle(
        "resend", lambda _: webhooks.resend(path), refused, forms.to("pages.admin_webhook", webhook_id=path.webhook_id)
    )


def _page(form: Form | None = None, *, new: NewWebhook | None = None) -> Response:
    query, fault = read_query(WebhookListQuery, ignored={"saved"})
    page = webhooks.read_webhooks(query)
    return render(
        "admin/webhooks.html",
        form.status if form else 200,
        webhooks=page.data,
        projects=[project.name for project in projects.read_projects()],
        kinds=list(WebhookKind),
        events=list(CHOSEN_EVENTS),
        chosen=request.form.getlist("events") if form and form.id == "new" else list(DEFAULT_EVENTS),
        fault=fault,
        form=form,
        saved=request.args.get("saved"),
        new=new,
        next_url=url_with(cursor=page.next_cursor) if page.next_cursor else None,
    )


def _deliveries(path: WebhookPath, form: Form | None = None) -> Response:
    query, fault = read_query(WebhooksQuery)
    page: Page[DeliveryView] = webhooks.read_deliveries(path, query)
    return render(
        "admin/webhook.html",
        form.status if form else 200,
        webhook=webhooks.read_webhook(path),
        deliveries=page.data,
        fault=fault,
        form=form,
        next_url=url_with(cursor=page.next_cursor) if page.next_cursor else None,
    )
