"""What users ask of jobs, in each state: what it does, who asked, and that a second time changes nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import JobEnded, JobNotEnded, JobNotFound
from fitqueue.states import EventKind, JobState
from service.db import Database
from service.store import actions
from tests.integration.fixture_types import Claim, Perform, Submit
from tests.integration.store.operations import MORE_EPOCHS, columns_of, event_data, events_of, get_job

ACTIONS = ("cancel", "pause", "resume", "extend")
BY_ADA = {"by": "ada"}
CANCELLED = (EventKind.CANCELLED, {"reason": "cancelled_by_user", **BY_ADA})
EXTENDED = (EventKind.EXTENDED, {"epochs": MORE_EPOCHS, **BY_ADA})

EFFECTS: dict[tuple[str, str], tuple[str, tuple[EventKind, dict[str, Any]] | None]] = {
    ("cancel", "queued"): ("cancelled", CANCELLED),
    ("cancel", "running"): ("running", (EventKind.CANCEL_REQUESTED, BY_ADA)),
    ("cancel", "paused"): ("cancelled", CANCELLED),
    ("cancel", "cancelled"): ("cancelled", None),
    ("pause", "queued"): ("paused", (EventKind.PAUSED, BY_ADA)),
    ("pause", "running"): ("running", (EventKind.PAUSE_REQUESTED, BY_ADA)),
    ("pause", "paused"): ("paused", None),
    ("resume", "queued"): ("queued", None),
    ("resume", "running"): ("running", None),
    ("resume", "paused"): ("queued", (EventKind.UNPAUSED, BY_ADA)),
    ("extend", "succeeded"): ("queued", EXTENDED),
    ("extend", "failed"): ("queued", EXTENDED),
    ("extend", "cancelled"): ("queued", EXTENDED),
}
"""The state after an action, and its event; None if it changes nothing."""

REFUSALS: dict[tuple[str, str], tuple[type[Exception], str]] = {
    ("cancel", "succeeded"): (JobEnded, "has already succeeded (completed)."),
    ("cancel", "failed"): (JobEnded, "has already failed (max_runtime)."),
    ("pause", "succeeded"): (JobEnded, "has already succeeded (completed)."),
    ("pause", "failed"): (JobEnded, "has already failed (max_runtime)."),
    ("pause", "cancelled"): (JobEnded, "was already cancelled (cancelled_by_user)."),
    ("resume", "succeeded"): (JobEnded, "has already succeeded (completed)."),
    ("resume", "failed"): (JobEnded, "has already failed (max_runtime)."),
    ("resume", "cancelled"): (JobEnded, "was already cancelled (cancelled_by_user)."),
    ("extend", "queued"): (JobNotEnded, "is queued; it can be extended when it has ended."),
    ("extend", "running"): (JobNotEnded, "is running; it can be extended when it has ended."),
    ("extend", "paused"): (JobNotEnded, "is paused; it can be extended when it has ended."),
}
"""The error of a refused action, and what it says after the job's id."""


def test_the_tables_cover_every_action_in_every_state() -> None:
    covered = [*EFFECTS, *REFUSALS]
    all_pairs = {(action, str(state)) for action in ACTIONS for state in JobState}
    assert (set(covered), len(covered)) == (all_pairs, len(all_pairs))


@pytest.mark.parametrize(("action", "state"), EFFECTS, ids=map(" ".join, EFFECTS))
def test_an_action_has_its_effect_once(
    action: str, state: str, database: Database, job_in_state: Callable[[str], str], perform: Perform
) -> None:
    job_id = job_in_state(state)
    before, events_before = get_job(database, job_id), event_data(database, job_id)
    expected_state, event = EFFECTS[action, state]

    returned, stored = columns_of(perform(action, job_id)), columns_of(get_job(database, job_id))
    assert returned == stored
    assert stored["state"] == expected_state
    assert event_data(database, job_id) == events_before + ([event] if event else [])
    assert stored["version"] == before.version + (event is not None)
    if event is None:
        assert stored == columns_of(before)

    assert columns_of(perform(action, job_id)) == stored
    assert columns_of(get_job(database, job_id)) == stored
    assert event_data(database, job_id) == events_before + ([event] if event else [])


@pytest.mark.parametrize(("action", "state"), REFUSALS, ids=map(" ".join, REFUSALS))
def test_a_refused_action_says_why_and_changes_nothing(
    action: str, state: str, database: Database, job_in_state: Callable[[str], str], perform: Perform
) -> None:
    job_id = job_in_state(state)
    before, events_before = columns_of(get_job(database, job_id)), event_data(database, job_id)
    error_type, message = REFUSALS[action, state]
    with pytest.raises(error_type) as error:
        perform(action, job_id)
    assert str(error.value) == f"The job {job_id} {message}"
    assert columns_of(get_job(database, job_id)) == before
    assert event_data(database, job_id) == events_before


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_on_an_unknown_job_is_refused(action: str, perform: Perform) -> None:
    with pytest.raises(JobNotFound, match=r"^There is no job 'job_none'\.$"):
        perform(action, "job_none")


def test_events_name_who_asked(database: Database, submit: Submit, claim: Claim) -> None:
    job_id = submit()
    claim()
    with database.write() as session:
        actions.pause(session, job_id, "ada")
        actions.cancel(session, job_id)
    assert [(event.kind, event.data, event.message) for event in events_of(database, job_id)[-2:]] == [
        (EventKind.PAUSE_REQUESTED, {"by": "ada"}, "ada asked the job to pause."),
        (EventKind.CANCEL_REQUESTED, {"by": None}, "Somebody asked the job to stop."),
    ]
