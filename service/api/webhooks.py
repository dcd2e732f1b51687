"""Webhooks, and what was delivered to them. Users see and manage their own, and those for their jobs; admins all."""

from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from sqlalchemy.orm import Session

from fitqueue.audit_actions import AuditAction
from fitqueue.errors import Fault, Forbidden, InvalidRequest
from fitqueue.text import truncate
from fitqueue.views import Page
from fitqueue.webhook_views import DeliveryView, NewWebhook, WebhookView
from fitqueue.webhooks import CHOSEN_EVENTS, DEFAULT_EVENTS, WebhookEvent, WebhookKind
from service.api import PREFIX, auditing
from service.api.addresses import address_of
from service.api.context import get_services, principal
from service.api.errors import validated
from service.api.parameters import ALWAYS, MAX_LIMIT, Query, Text, answer, json_body, json_request, problems
from service.api.webhook_views import delivery_view, webhook_view
from service.models import Webhook, WebhookDelivery
from service.settings import Settings
from service.store import jobs, projects, webhook_deliveries, webhooks
from service.webhooks.addresses import parse_networks
from service.webhooks.receiver import InvalidReceiver, kind_of, validate_receiver

blueprint = APIBlueprint(
    "webhooks", __name__, url_prefix=f"{PREFIX}/webhooks", abp_tags=[Tag(name="webhooks")], abp_responses=ALWAYS
)

_Row = TypeVar("_Row", Webhook, WebhookDelivery)
_Event = Annotated[WebhookEvent, WithJsonSchema({"type": "string", "enum": [str(event) for event in CHOSEN_EVENTS]})]
_MAX_URL: Final = 2_048


class WebhookRequest(BaseModel):
    """A webhook for the jobs of a project, or for one job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Text = Field(max_length=_MAX_URL, description="where to send: `https:`, `http:`, or `mailto:` for mail")
    kind: WebhookKind | None = Field(default=None, description="null: `mail` for `mailto:`, else `webhook`")
    events: list[_Event] = Field(default=list(DEFAULT_EVENTS), min_length=1, max_length=20)
    project: Text | None = Field(default=None, max_length=64, description="a name or an id")
    job: Text | None = Field(default=None, max_length=64, description="an id")


class WebhooksQuery(Query):
    cursor: Text | None = Field(default=None, max_length=64, description="`next_cursor` of the page before")
    limit: int = Field(default=50, ge=1, le=MAX_LIMIT)


class WebhookListQuery(WebhooksQuery):
    project: Text | None = Field(default=None, max_length=64, description="only those for this project")
    job: Text | None = Field(default=None, max_length=64, description="only those for this job alone")


class WebhookPath(BaseModel):
    webhook_id: Text


class DeliveryPath(WebhookPath):
    delivery_id: Text


@blueprint.get("", summary="List webhooks", responses={200: Page[WebhookView], **problems(404)})
def list_webhooks(query: WebhookListQuery) -> Response:
    """Newest first: your own and those for your jobs; for admins all."""
    return answer(read_webhooks(query))


def read_webhooks(query: WebhookListQuery) -> Page[WebhookView]:
    """Return a page of the webhooks that the user sees.

    Raises:
        ProjectNotFound: the user sees no such project.
    """
    who = principal()
    with get_services().database.read() as session:
        project = None if query.project is None else projects.get(session, query.project, who.viewer).id
        rows = webhooks.list_page(
            session, who, before=query.cursor, limit=query.limit + 1, project_id=project, job_id=query.job
        )
        details = webhooks.with_names(session, rows[: query.limit])
    return Page[WebhookView](data=list(map(webhook_view, details)), next_cursor=_next(rows, query.limit))


@blueprint.post(
    "",
    summary="Create a webhook",
    openapi_extensions=json_request(WebhookRequest, {"url": "https://ci.example.org/fitqueue", "project": "lab"}),
    responses={201: NewWebhook, **problems(400, 403, 404, 409, 413, 415)},
)
def create_webhook() -> Response:
    """The answer is the only one with the secret, by which the receiver verifies the messages.

    For a project that you see, or for a job that you may change.
    """
    view = create(json_body())
    return answer(view, 201, {"Location": address_of(f"/webhooks/{view.id}")})


def create(body: object) -> NewWebhook:
    """Create the webhook that a request describes.

    Raises:
        InvalidRequest: the request does not describe one to which anything could be sent.
        NotFound: the user sees no such project or job.
        Forbidden: it is for a job of somebody else.
    """
    wanted = validated(WebhookRequest, body)
    services, who = get_services(), principal()
    kind = wanted.kind or kind_of(wanted.url)
    _validate(wanted, kind, services.settings)
    with services.database.write() as session:
        project_id, job_id = _subject(session, wanted)
        webhook = webhooks.create(
            session,
            kind,
            wanted.url,
            wanted.events,
            owner_id=who.user_id,
            service_url=request.root_url.rstrip("/"),
            project_id=project_id,
            job_id=job_id,
        )
        [details] = webhooks.with_names(session, [webhook])
        data: dict[str, object] = {"kind": str(kind), "project": details.project, "job": job_id}
        auditing.record(session, AuditAction.WEBHOOK_CREATE, webhook.id, data)
    return NewWebhook(**webhook_view(details).model_dump(), secret=webhook.secret)


@blueprint.get("/<webhook_id>", summary="Get a webhook", responses={200: WebhookView, **problems(404)})
def get_webhook(path: WebhookPath) -> Response:
    return answer(read_webhook(path))


def read_webhook(path: WebhookPath) -> WebhookView:
    with get_services().database.read() as session:
        [details] = webhooks.with_names(session, [webhooks.get(session, path.webhook_id, principal())])
    return webhook_view(details)


@blueprint.delete("/<webhook_id>", summary="Delete a webhook", responses={204: None, **problems(403, 404)})
def delete_webhook(path: WebhookPath) -> Response:
    """With its deliveries, those among them that are still to be sent."""
    delete(path)
    return Response(status=204)


def delete(path: WebhookPath) -> None:
    with get_services().database.write() as session:
        webhooks.delete(session, path.webhook_id, principal())
        auditing.record(session, AuditAction.WEBHOOK_DELETE, path.webhook_id)


@blueprint.post(
    "/<webhook_id>/test", summary="Test a webhook", responses={202: DeliveryView, **problems(403, 404, 409)}
)
def test_webhook(path: WebhookPath) -> Response:
    """Sends a message of the type `webhook.test` within seconds. Its delivery says what came of it."""
    return answer(test(path), 202)


def test(path: WebhookPath) -> DeliveryView:
    with get_services().database.write() as session:
        webhook = webhooks.get(session, path.webhook_id, principal())
        delivery = webhook_deliveries.add_test(session, webhook)
        auditing.record(session, AuditAction.WEBHOOK_TEST, webhook.id)
    return delivery_view(delivery)


@blueprint.get(
    "/<webhook_id>/deliveries", summary="List deliveries", responses={200: Page[DeliveryView], **problems(404)}
)
def list_deliveries(path: WebhookPath, query: WebhooksQuery) -> Response:
    """What is, or was, delivered to a webhook in the last 30 days, newest first."""
    return answer(read_deliveries(path, query))


def read_deliveries(path: WebhookPath, query: WebhooksQuery) -> Page[DeliveryView]:
    with get_services().database.read() as session:
        webhook = webhooks.get(session, path.webhook_id, principal())
        rows = webhook_deliveries.list_page(session, webhook.id, before=query.cursor, limit=query.limit + 1)
    views = list(map(delivery_view, rows[: query.limit]))
    return Page[DeliveryView](data=views, next_cursor=_next(rows, query.limit))


@blueprint.post(
    "/<webhook_id>/deliveries/<delivery_id>/resend",
    summary="Resend a delivery",
    responses={202: DeliveryView, **problems(403, 404, 409)},
)
def resend_delivery(path: DeliveryPath) -> Response:
    """Sends it again within seconds, with all its tries, and the same `webhook-id`."""
    return answer(resend(path), 202)


def resend(path: DeliveryPath) -> DeliveryView:
    with get_services().database.write() as session:
        webhook = webhooks.get(session, path.webhook_id, principal())
        delivery = webhook_deliveries.resend(session, webhook, path.delivery_id)
        auditing.record(session, AuditAction.WEBHOOK_RESEND, webhook.id, {"delivery": path.delivery_id})
    return delivery_view(delivery)


def _validate(wanted: WebhookRequest, kind: WebhookKind, settings: Settings) -> None:
    """Check what pydantic cannot.

    Raises:
        InvalidRequest: it names no project and no job, or both, or nothing could be sent there.
    """
    faults = []
    if (wanted.project is None) == (wanted.job is None):
        received = "both" if wanted.job is not None else "neither"
        message = "A webhook is for the jobs of a project, or for one job."
        faults.append(_fault("", "project_or_job", message, received, "`project` or `job`"))
    if WebhookEvent.WEBHOOK_TEST in wanted.events:
        message = "A test comes to each webhook and cannot be chosen."
        faults.append(_fault("/events", "invalid_event", message, str(WebhookEvent.WEBHOOK_TEST), "other events"))
    try:
        networks = parse_networks(settings.webhook_networks)
        validate_receiver(kind, wanted.url, networks, sends_mail=bool(settings.smtp_url))
    except InvalidReceiver as error:
        faults.append(_fault("/url", error.code, str(error), truncate(wanted.url, 100), error.expected))
    if faults:
        raise InvalidRequest(errors=faults)


def _fault(pointer: str, code: str, message: str, received: str, expected: str) -> Fault:
    return Fault(pointer=pointer, code=code, message=message, received=received, expected=expected)


def _subject(session: Session, wanted: WebhookRequest) -> tuple[str | None, str | None]:
    """Return the ids of the project and the job that a webhook is for; one of them is None.

    Raises:
        NotFound: the user sees none of this name or id.
        Forbidden: the job is somebody else's.
    """
    who = principal()
    if wanted.job is None:
        return projects.get(session, wanted.project or "", who.viewer).id, None
    job = jobs.get(session, wanted.job, who.viewer)
    if not who.owns(job.owner_id):
        raise Forbidden("Webhooks for one job are for its owner and admins; create one for its project.")
    return None, job.id


def _next(rows: Sequence[_Row], limit: int) -> str | None:
    return rows[limit - 1].id if len(rows) > limit else None
