"""Webhooks and their deliveries: written with what they tell, taken by one worker at a time, tried eight times."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import select

from fitqueue.errors import DeliveryNotFound, TooManyWebhooks, WebhookDisabled, WebhookNotFound
from fitqueue.roles import Role
from fitqueue.states import EventKind, JobState, Reason
from fitqueue.webhooks import CHOSEN_EVENTS, DeliveryState, WebhookEvent, WebhookKind
from service import clock
from service.db import Database
from service.models import ADMIN_ID, LAB_ID, Job, Project, User, Webhook, WebhookDelivery
from service.store import (
    attempt_outcomes,
    deletions,
    jobs,
    leases,
    principals,
    projects,
    recording,
    tokens,
    users,
    webhook_deliveries,
    webhook_leases,
    webhooks,
)
from service.store.leases import Lease
from service.store.principals import Principal
from service.store.webhook_deliveries import KEPT_FOR
from service.store.webhook_leases import DELAYS, JITTER, LEASE, MAX_TRIES, Leased
from service.webhooks.outcome import Outcome, Verdict
from tests.integration.fixture_types import AdvanceClock, Claim, Perform, Submit
from tests.integration.store.operations import events_of, finish, get_job, requeue
from tests.reports import epoch_ended

FAILED = Outcome(Verdict.RETRY, "503 Service Unavailable")
DELIVERED = Outcome(Verdict.DELIVERED, "200 OK")
URL = "https://ci.example.org/hook"

AddWebhook = Callable[..., str]


@pytest.fixture
def add_webhook(database: Database) -> AddWebhook:
    """A function that creates a webhook for the project `lab`, or as its arguments say, and returns its id."""

    def add(**options: Any) -> str:
        kind = options.pop("kind", WebhookKind.WEBHOOK)
        events = options.pop("events", CHOSEN_EVENTS)
        owner = {"owner_id": ADMIN_ID, "service_url": "https://q.example.org", **options}
        subject = {} if "job_id" in options or "project_id" in options else {"project_id": LAB_ID}
        with database.write() as session:
            return webhooks.create(session, kind, URL, events, **owner, **subject).id

    return add


def _deliveries(database: Database) -> list[WebhookDelivery]:
    with database.read() as session:
        return list(session.scalars(select(WebhookDelivery).order_by(WebhookDelivery.id)))


def _only_delivery(database: Database) -> WebhookDelivery:
    [delivery] = _deliveries(database)
    return delivery


def _lease(database: Database, limit: int = 100) -> list[Leased]:
    with database.write() as session:
        return webhook_leases.lease_due(session, limit)


def _record(database: Database, leased: Leased, outcome: Outcome) -> None:
    with database.write() as session:
        webhook_leases.record(session, leased, outcome)


def _test(database: Database, webhook_id: str, count: int = 1) -> None:
    with database.write() as session:
        webhook = session.get_one(Webhook, webhook_id)
        for _ in range(count):
            webhook_deliveries.add_test(session, webhook)


def _principal(database: Database, name: str, role: Role = Role.MEMBER) -> Principal:
    """Create a user, and return who they are."""
    with database.write() as session:
        user = users.create(session, name, role)
        secret = tokens.issue(session, name, user.id).secret
        verified = principals.of_token(session, secret)
    assert verified is not None
    return verified.principal


def _admin(database: Database) -> Principal:
    with database.write() as session:
        verified = principals.of_token(session, tokens.create(session, "tests"))
    assert verified is not None
    return verified.principal


# --- Written with what they tell -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "event"),
    [
        (Reason.COMPLETED, "job.succeeded"),
        (Reason.NAN_LOSS, "job.failed"),
        (Reason.CANCELLED_BY_USER, "job.cancelled"),
    ],
)
def test_an_end_is_told_with_a_short_form_of_the_job(
    database: Database, submit: Submit, claim: Claim, add_webhook: AddWebhook, reason: Reason, event: str
) -> None:
    webhook_id = add_webhook()
    job_id = submit(name="digits")
    finish(database, claim().lease, reason)
    delivery, job = _only_delivery(database), get_job(database, job_id)
    assert (delivery.webhook_id, delivery.job_id, delivery.state) == (webhook_id, job_id, DeliveryState.PENDING)
    assert delivery.payload == {
        "type": event,
        "timestamp": job.finished_at.isoformat().replace("+00:00", "Z"),  # type: ignore[union-attr]
        "data": {
            "id": job_id, "name": "digits", "state": str(job.state), "reason": str(reason),
            "message": "The training ended.", "project": "lab", "owner": "admin", "epoch": 0, "epochs": 5, "best": None,
            "url": f"https://q.example.org/jobs/{job_id}",
        },
    }  # fmt: skip


def test_a_requeue_is_told_with_its_reason(
    database: Database, submit: Submit, claim: Claim, add_webhook: AddWebhook
) -> None:
    add_webhook()
    submit()
    job = requeue(database, claim().lease)
    data = _only_delivery(database).payload["data"]
    [event] = [event for event in events_of(database, job.id) if event.kind is EventKind.REQUEUED]
    assert (data["state"], data["reason"], data["message"]) == ("queued", None, event.message)


def test_a_queued_or_paused_job_that_is_cancelled_is_told(
    database: Database, submit: Submit, perform: Perform, add_webhook: AddWebhook
) -> None:
    add_webhook()
    queued, paused = submit(), submit()
    perform("pause", paused)
    for job_id in (queued, paused):
        perform("cancel", job_id)
    assert [(row.event, row.job_id) for row in _deliveries(database)] == [
        (WebhookEvent.JOB_CANCELLED, queued),
        (WebhookEvent.JOB_CANCELLED, paused),
    ]


def test_a_webhook_is_told_only_the_events_and_the_jobs_that_it_is_for(
    database: Database, submit: Submit, claim: Claim, add_webhook: AddWebhook
) -> None:
    first, second = submit(), submit()
    with database.write() as session:
        other = projects.create(session, "other")
    of_job = add_webhook(job_id=second)
    add_webhook(events=[WebhookEvent.JOB_FAILED])
    add_webhook(project_id=other.id)
    for _ in (first, second):
        finish(database, claim().lease)
    assert [(row.webhook_id, row.job_id) for row in _deliveries(database)] == [(of_job, second)]


def test_nothing_is_told_to_the_owner_of_a_webhook_who_may_no_longer_see_the_job(
    database: Database, submit: Submit, claim: Claim, add_webhook: AddWebhook
) -> None:
    eve, ada, gone = (_principal(database, name).user_id for name in ("eve", "ada", "gone"))
    with database.write() as session:
        projects.add_member(session, session.get_one(Project, LAB_ID), session.get_one(User, ada))
        session.get_one(Project, LAB_ID).is_open = False
        session.get_one(User, gone).disabled_at = clock.now(session)
    told = {add_webhook(owner_id=owner) for owner in (ada, ADMIN_ID)}
    for owner in (eve, gone):
        add_webhook(owner_id=owner)
    submit()
    finish(database, claim().lease)
    assert {row.webhook_id for row in _deliveries(database)} == told


class _Fault(Exception):
    pass


def test_neither_the_transition_nor_its_delivery_is_without_the_other(
    database: Database, submit: Submit, claim: Claim, add_webhook: AddWebhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step of the transaction fails once: before the delivery is written, while it is, and after it was."""
    add_webhook()
    job_id = submit()
    lease = claim().lease
    steps = _steps_of_a_finish(database, lease, monkeypatch)
    assert len(steps) > 4
    assert any("webhook_deliveries" in step for step in steps)
    for number in range(len(steps)):
        with pytest.raises(_Fault):
            _finish_and_fail(database, lease, number)
        assert get_job(database, job_id).state is JobState.RUNNING
        assert _deliveries(database) == []
    assert finish(database, lease)
    assert (get_job(database, job_id).state, len(_deliveries(database))) == (JobState.SUCCEEDED, 1)


def _steps_of_a_finish(database: Database, lease: Lease, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the statements of a transaction that ends a job. It is rolled back."""
    statements: list[str] = []
    with pytest.raises(_Fault):
        _finish_and_fail(database, lease, None, statements)
    return statements


def _finish_and_fail(database: Database, lease: Lease, at: int | None, statements: list[str] | None = None) -> None:
    """End a job in a transaction whose statement number `at` fails, or its end if that is None."""
    statements = [] if statements is None else statements

    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if at == len(statements):
            raise _Fault()
        statements.append(statement)

    with database.write() as session:
        engine = session.get_bind()
        sqlalchemy_event.listen(engine, "before_cursor_execute", before)
        try:
            attempt_outcomes.finish(session, lease, Reason.COMPLETED, "The training ended.")
        finally:
            sqlalchemy_event.remove(engine, "before_cursor_execute", before)
        raise _Fault()


# --- The diagnosis -------------------------------------------------------------------------------------------------


def _train(database: Database, lease: Lease, losses: list[tuple[float, float]], first: int = 1) -> None:
    for epoch, (loss, validation) in enumerate(losses, first):
        with database.write() as session:
            ended = epoch_ended(epoch, {"loss": loss, "val_loss": validation})
            recording.record_epoch(session, leases.held_job(session, lease), ended)


def test_a_diagnosis_is_told_when_its_verdict_changes(
    database: Database, submit: Submit, claim: Claim, add_webhook: AddWebhook
) -> None:
    submit(fit={"epochs": 100})
    lease = claim().lease
    add_webhook(events=[WebhookEvent.DIAGNOSIS_CHANGED])
    _train(database, lease, [(1 / n, 1.1 / n) for n in range(1, 13)])
    [learning] = _deliveries(database)
    assert learning.payload["data"]["diagnosis"]["verdict"] == "learning"
    assert learning.payload["data"]["diagnosis"]["summary"]
    _train(database, lease, [(0.08 - n / 1000, 0.1 + n / 20) for n in range(1, 25)], 13)
    verdicts = [row.payload["data"]["diagnosis"]["verdict"] for row in _deliveries(database)]
    assert verdicts == ["learning", "overfitting"]


def test_no_diagnosis_is_made_if_no_webhook_wants_it(
    database: Database, submit: Submit, claim: Claim, add_webhook: AddWebhook
) -> None:
    submit(fit={"epochs": 100})
    lease = claim().lease
    add_webhook(events=[WebhookEvent.JOB_FAILED])
    _train(database, lease, [(1 / n, 1.1 / n) for n in range(1, 13)])
    assert _deliveries(database) == []
    assert get_job(database, lease.job_id).told_verdict is None


# --- Sent by one worker at a time, eight times at most -------------------------------------------------------------


def test_a_delivery_is_leased_to_one_worker(
    database: Database, add_webhook: AddWebhook, advance_clock: AdvanceClock
) -> None:
    _test(database, add_webhook())
    [leased] = _lease(database)
    assert leased.message.url == URL
    assert leased.message.secret is not None
    assert leased.message.payload["type"] == "webhook.test"
    assert _lease(database) == []
    advance_clock(LEASE.total_seconds() + 1)
    [again] = _lease(database)
    assert again.message == leased.message
    _record(database, leased, DELIVERED)
    assert _only_delivery(database).state is DeliveryState.PENDING, "the first worker has lost its lease"
    _record(database, again, DELIVERED)
    delivery = _only_delivery(database)
    assert (delivery.state, delivery.tries, delivery.last_status) == (DeliveryState.DELIVERED, 2, "200 OK")
    assert _lease(database) == []


def test_a_delivery_is_tried_eight_times_within_a_day(
    database: Database, add_webhook: AddWebhook, advance_clock: AdvanceClock
) -> None:
    _test(database, add_webhook())
    total = 0.0
    for tries in range(1, MAX_TRIES + 1):
        [leased] = _lease(database)
        _record(database, leased, FAILED)
        delivery = _only_delivery(database)
        assert (delivery.tries, delivery.last_status) == (tries, FAILED.status)
        if tries < MAX_TRIES:
            assert delivery.next_try_at is not None
            assert delivery.last_try_at is not None
            wait = (delivery.next_try_at - delivery.last_try_at).total_seconds()
            assert DELAYS[tries - 1] * (1 - JITTER) <= wait <= DELAYS[tries - 1] * (1 + JITTER) + 5
            assert _lease(database) == []
            advance_clock(wait)
            total += wait
    assert delivery.state is DeliveryState.FAILED
    assert MAX_TRIES == 8
    assert total < timedelta(days=1).total_seconds()
    advance_clock(10 * 86_400)
    assert _lease(database) == []


def test_workers_that_die_while_they_send_do_not_send_for_ever(
    database: Database, add_webhook: AddWebhook, advance_clock: AdvanceClock
) -> None:
    _test(database, add_webhook())
    for _ in range(MAX_TRIES):
        assert len(_lease(database)) == 1
        advance_clock(LEASE.total_seconds() + 1)
    assert _lease(database) == []
    delivery = _only_delivery(database)
    assert (delivery.state, delivery.tries, delivery.leased_until) == (DeliveryState.FAILED, MAX_TRIES, None)


def test_the_longest_waits_are_within_a_day() -> None:
    assert sum(DELAYS) * (1 + JITTER) < timedelta(days=1).total_seconds()


def test_a_receiver_that_wants_no_more_gets_no_more(
    database: Database, add_webhook: AddWebhook, submit: Submit, claim: Claim
) -> None:
    webhook_id, other = add_webhook(), add_webhook(events=[WebhookEvent.JOB_CANCELLED])
    _test(database, webhook_id, 2)
    _test(database, other)
    [first, *_] = [leased for leased in _lease(database) if leased.message.payload["data"]["webhook"] == webhook_id]
    _record(database, first, Outcome(Verdict.GONE, "410 Gone"))
    states = [(row.webhook_id, row.state, row.last_status) for row in _deliveries(database)]
    assert states == [
        (webhook_id, DeliveryState.FAILED, "410 Gone"),
        (webhook_id, DeliveryState.FAILED, "the webhook was disabled"),
        (other, DeliveryState.PENDING, None),
    ]
    submit()
    finish(database, claim().lease)
    assert len(_deliveries(database)) == 3
    with database.write() as session:
        webhook = session.get_one(Webhook, webhook_id)
        with pytest.raises(WebhookDisabled):
            webhook_deliveries.add_test(session, webhook)
        with pytest.raises(WebhookDisabled):
            webhook_deliveries.resend(session, webhook, first.message.id)


def test_a_receiver_with_many_deliveries_leaves_room_for_others(database: Database, add_webhook: AddWebhook) -> None:
    busy, other = add_webhook(), add_webhook()
    _test(database, busy, 20)
    _test(database, other)
    leased = [one.message.payload["data"]["webhook"] for one in _lease(database, 16)]
    assert sorted(leased) == sorted([busy] * webhook_leases.AT_ONCE + [other])


def test_many_workers_never_have_the_same_delivery(database: Database, add_webhook: AddWebhook) -> None:
    for _ in range(5):
        _test(database, add_webhook(), 4)
    with ThreadPoolExecutor(8) as threads:
        batches = list(threads.map(lambda _: _lease(database, 5), range(24)))
    ids = [leased.message.id for batch in batches for leased in batch]
    assert len(ids) == len(set(ids)) == 20


# --- By hand -------------------------------------------------------------------------------------------------------


def test_a_delivery_that_has_failed_is_resent_with_its_id_and_all_its_tries(
    database: Database, add_webhook: AddWebhook, advance_clock: AdvanceClock
) -> None:
    webhook_id = add_webhook()
    _test(database, webhook_id)
    for _ in range(MAX_TRIES):
        [leased] = _lease(database)
        _record(database, leased, FAILED)
        advance_clock(86_400)
    with database.write() as session:
        resent = webhook_deliveries.resend(session, session.get_one(Webhook, webhook_id), leased.message.id)
        assert (resent.state, resent.tries) == (DeliveryState.PENDING, 0)
    [again] = _lease(database)
    assert again.message == leased.message
    _record(database, again, FAILED)
    assert _only_delivery(database).state is DeliveryState.PENDING


def test_what_is_being_sent_is_not_sent_twice_at_once_by_a_resend(database: Database, add_webhook: AddWebhook) -> None:
    webhook_id = add_webhook()
    _test(database, webhook_id)
    [leased] = _lease(database)
    with database.write() as session:
        webhook_deliveries.resend(session, session.get_one(Webhook, webhook_id), leased.message.id)
    assert _lease(database) == []
    _record(database, leased, FAILED)
    delivery = _only_delivery(database)
    assert (delivery.state, delivery.tries, delivery.leased_until) == (DeliveryState.PENDING, 0, None)


def test_only_deliveries_of_the_webhook_are_resent(database: Database, add_webhook: AddWebhook) -> None:
    _test(database, add_webhook())
    other, delivery = add_webhook(), _only_delivery(database)
    with database.write() as session, pytest.raises(DeliveryNotFound):
        webhook_deliveries.resend(session, session.get_one(Webhook, other), delivery.id)


# --- Whose they are ------------------------------------------------------------------------------------------------


def test_users_manage_their_own_webhooks_and_those_for_their_jobs_and_admins_all(
    database: Database, submit: Submit, add_webhook: AddWebhook
) -> None:
    ada, eve, admin = _principal(database, "ada"), _principal(database, "eve"), _admin(database)
    job_id = submit()
    with database.write() as session:
        session.get_one(Job, job_id).owner_id = ada.user_id
    own, of_job, others = add_webhook(owner_id=ada.user_id), add_webhook(job_id=job_id), add_webhook()
    with database.read() as session:
        seen = {
            who.user: [row.id for row in webhooks.list_page(session, who, before=None, limit=10)]
            for who in (ada, eve, admin)
        }
        assert seen == {"ada": [of_job, own], "eve": [], "admin": [others, of_job, own]}
        assert webhooks.get(session, of_job, ada).id == of_job
        with pytest.raises(WebhookNotFound):
            webhooks.get(session, others, ada)
    with database.write() as session, pytest.raises(WebhookNotFound):
        webhooks.delete(session, others, ada)


def test_a_list_has_pages_and_filters(database: Database, submit: Submit, add_webhook: AddWebhook) -> None:
    admin, job_id = _admin(database), submit()
    ids = [add_webhook() for _ in range(3)]
    of_job = add_webhook(job_id=job_id)

    def listed(before: str | None = None, limit: int = 10, **filters: str) -> list[str]:
        with database.read() as session:
            return [row.id for row in webhooks.list_page(session, admin, before=before, limit=limit, **filters)]

    assert listed(limit=2) == [of_job, ids[2]]
    assert listed(ids[2]) == [ids[1], ids[0]]
    assert listed(job_id=job_id) == [of_job]
    assert listed(project_id=LAB_ID) == ids[::-1]


def test_a_user_has_so_many_webhooks_and_no_more(
    database: Database, add_webhook: AddWebhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "MAX_WEBHOOKS", 2)
    ada = _principal(database, "ada")
    for _ in range(2):
        add_webhook()
    with pytest.raises(TooManyWebhooks):
        add_webhook()
    add_webhook(owner_id=ada.user_id)


# --- Deleted -------------------------------------------------------------------------------------------------------


def test_a_deleted_webhook_takes_its_deliveries_with_it(database: Database, add_webhook: AddWebhook) -> None:
    webhook_id, admin = add_webhook(), _admin(database)
    _test(database, webhook_id)
    [leased] = _lease(database)
    with database.write() as session:
        webhooks.delete(session, webhook_id, admin)
    assert _deliveries(database) == []
    _record(database, leased, DELIVERED)
    assert _deliveries(database) == []


def test_a_webhook_for_one_job_is_deleted_with_the_job(
    database: Database, submit: Submit, perform: Perform, add_webhook: AddWebhook
) -> None:
    job_id = submit()
    add_webhook(job_id=job_id)
    of_project = add_webhook()
    perform("cancel", job_id)
    with database.write() as session:
        jobs.delete(session, job_id)
    while _deletes_some(database):
        pass
    assert [row.webhook_id for row in _deliveries(database)] == [of_project]


def _deletes_some(database: Database) -> bool:
    with database.write() as session:
        return deletions.delete_some(session) is not None


def test_deliveries_that_ended_long_ago_are_deleted(
    database: Database, add_webhook: AddWebhook, advance_clock: AdvanceClock
) -> None:
    webhook_id = add_webhook()
    _test(database, webhook_id, 2)
    [leased, _] = _lease(database)
    _record(database, leased, DELIVERED)

    def delete_old() -> int:
        with database.write() as session:
            return webhook_deliveries.delete_old(session)

    assert delete_old() == 0
    advance_clock(KEPT_FOR.total_seconds() + 60)
    assert (delete_old(), delete_old()) == (1, 0)
    assert [row.state for row in _deliveries(database)] == [DeliveryState.PENDING]
