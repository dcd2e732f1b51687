"""The client with a real service and a simulated worker."""

import json
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import fitqueue
from fitqueue import errors
from fitqueue.client import Client
from fitqueue.job_sort import JobSort
from fitqueue.states import EventKind, JobState, Reason


def test_submit_takes_a_dict_bytes_or_a_path(client: Client, job: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job))
    for spec in (job, path.read_bytes(), path, str(path)):
        submitted = client.submit(spec)
        assert (submitted.state, submitted.name) == (JobState.QUEUED, "digits")
    assert len(list(client.list())) == 4


def test_a_dry_run_stores_nothing(client: Client, job: dict[str, Any]) -> None:
    answer = client.submit(job, dry_run=True)
    assert answer.spec["fit"]["batch_size"] == 32
    # This service has no model checker, and says so.
    assert [(notice.pointer, notice.code) for notice in answer.notices] == [
        ("/compile/optimizer/config/lr", "translated"),
        ("/model", "unchecked"),
    ]
    assert answer.model is None
    assert list(client.list()) == []


def test_all_faults_are_reported_at_once(client: Client, job: dict[str, Any]) -> None:
    job["fit"]["epochs"] = "three"
    job["data"]["dataset"] = "nothing"
    with pytest.raises(errors.InvalidSpec) as caught:
        client.submit(job)
    assert {fault.pointer for fault in caught.value.errors} == {"/fit/epochs", "/data/dataset"}


@pytest.mark.parametrize("spec", [b"{broken", {"name": float("nan")}, {"name": object()}])
def test_a_spec_that_is_not_json_is_refused(client: Client, spec: Any) -> None:
    with pytest.raises(errors.MalformedJSON):
        client.submit(spec)


def test_a_wrong_token_is_refused(service: Any) -> None:
    with pytest.raises(errors.Unauthenticated):
        Client(service.url, "fq_wrong").workers()


def test_list_fetches_all_pages_and_filters(client: Client, job: dict[str, Any]) -> None:
    ids = [client.submit({**job, "labels": {"n": str(n % 2)}}).id for n in range(60)]
    client.cancel(ids[0])
    assert [listed.id for listed in client.list()] == ids[::-1]
    assert (client.list().total, client.list(labels={"n": "1"}).total, client.list(name="other").total) == (60, 30, 0)
    assert [listed.id for listed in client.list(state="cancelled")] == [ids[0]]
    assert [listed.id for listed in client.list(state=["queued"], labels={"n": "1"})] == ids[1::2][::-1]
    assert list(client.list(labels=[("n", "0"), ("n", "1")])) == []
    assert list(client.list(pool="elsewhere")) == list(client.list(name="other")) == []
    assert [listed.id for listed in client.list(sort="oldest")] == ids
    assert [listed.id for listed in client.list(sort=JobSort.FINISHED)] == [ids[0], *ids[:0:-1]]
    assert {listed.submitted_by for listed in client.list(submitted_by="tests", dataset="digits")} == {"tests"}
    assert list(client.list(submitted_by="ada")) == list(client.list(dataset="mnist")) == []
    with pytest.raises(errors.InvalidRequest):
        list(client.list(sort="size"))


def test_queue_fetches_all_pages(client: Client, job: dict[str, Any]) -> None:
    ids = [client.submit({**job, "priority": n // 55}).id for n in range(60)]
    large = client.submit({**job, "resources": {"pool": "large"}}).id
    assert [waiting.id for waiting in client.queue()] == [*ids[55:], *ids[:55], large]
    assert [(waiting.id, waiting.position) for waiting in client.queue("large")] == [(large, 1)]
    assert list(client.queue("none")) == []


def test_wait_reports_updates_until_the_job_has_ended(service: Any, client: Client, job: dict[str, Any]) -> None:
    submitted = client.submit(job)
    seen: list[tuple[str, int]] = []
    running = threading.Event()

    def on_update(view: fitqueue.views.JobView) -> None:
        seen.append((view.state, view.progress.step))
        if view.progress.step == 4:
            running.set()

    ended: list[fitqueue.views.JobView] = []
    waiter = threading.Thread(target=lambda: ended.append(client.wait(submitted.id, timeout=300, on_update=on_update)))
    waiter.start()
    worker = service.claim()
    worker.progress(1, 4)
    assert running.wait(300)
    worker.epoch(1, 0.5)
    worker.finish(Reason.EARLY_STOPPED)
    waiter.join(120)
    assert seen[-1][0] == "succeeded"
    assert ended[0].reason is Reason.EARLY_STOPPED
    assert client.wait(submitted.id) == ended[0]


def test_wait_shows_a_line_for_each_epoch_where_there_is_no_terminal(
    service: Any, client: Client, job: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = client.submit(job).id

    def interrupt(view: fitqueue.views.JobView) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.wait(job_id, progress=True, on_update=interrupt)
    assert f'client.wait("{job_id}", progress=True)' in capsys.readouterr().out
    worker = service.claim()
    for epoch in (1, 2, 3):
        worker.epoch(epoch, 0.5 / epoch)
    worker.finish()
    assert client.wait(job_id).state == "succeeded"
    assert capsys.readouterr().out == ""
    client.wait(job_id, progress=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [["Epoch", f"{epoch}/3"] for epoch in (1, 2, 3)]
    assert "loss: 0.2500" in lines[1]
    assert lines[-1] == f"{job_id}: succeeded, epoch 3/3"


def test_submit_and_wait_returns_the_ended_job(service: Any, client: Client, job: dict[str, Any]) -> None:
    ended: list[Any] = []
    waiter = threading.Thread(target=lambda: ended.append(client.submit(job, wait=True)))
    waiter.start()
    job_id = next(_until_listed(client))
    client.cancel(job_id)
    waiter.join(120)
    assert ended[0].state is JobState.CANCELLED


def _until_listed(client: Client) -> Any:
    while True:
        yield from (job.id for job in client.list())


def test_wait_raises_an_error_after_its_timeout(client: Client, job: dict[str, Any]) -> None:
    with pytest.raises(errors.WaitTimeout):
        client.wait(client.submit(job).id, timeout=1)


def test_every_method_raises_job_not_found(client: Client) -> None:
    extend = partial(client.extend, epochs=1)
    actions = (client.cancel, client.pause, client.resume, extend)
    for call in (client.get, *actions, client.delete, client.wait, client.metrics, client.checkpoints):
        with pytest.raises(errors.JobNotFound):
            call("job_nothing")
    for records in (client.events, client.logs):
        with pytest.raises(errors.JobNotFound):
            next(records("job_nothing"))
        with pytest.raises(errors.JobNotFound):
            next(records("job_nothing", follow=True))


def test_a_job_must_be_cancelled_before_it_is_deleted(client: Client, job: dict[str, Any]) -> None:
    submitted = client.submit(job)
    with pytest.raises(errors.JobNotEnded):
        client.delete(submitted.id)
    assert client.cancel(submitted.id).state is JobState.CANCELLED
    assert client.cancel(submitted.id).state is JobState.CANCELLED
    client.delete(submitted.id)
    with pytest.raises(errors.JobNotFound):
        client.get(submitted.id)


def test_a_job_that_has_succeeded_cannot_be_cancelled(service: Any, client: Client, job: dict[str, Any]) -> None:
    submitted = client.submit(job)
    service.claim().finish()
    with pytest.raises(errors.JobEnded):
        client.cancel(submitted.id)


def test_pause_and_resume_can_be_repeated(service: Any, client: Client, job: dict[str, Any]) -> None:
    submitted = client.submit(job)
    assert [client.pause(submitted.id).state for _ in range(2)] == [JobState.PAUSED] * 2
    assert [listed.id for listed in client.list(state="paused")] == [submitted.id]
    assert [client.resume(submitted.id).state for _ in range(2)] == [JobState.QUEUED] * 2
    worker = service.claim()
    paused = [client.pause(submitted.id) for _ in range(2)]
    assert paused[0] == paused[1]
    assert (paused[0].state, paused[0].pause_requested_at is not None) == (JobState.RUNNING, True)
    worker.requeue()
    assert client.get(submitted.id).state is JobState.PAUSED
    client.resume(submitted.id)
    service.claim().finish()
    for call in (client.pause, client.resume):
        with pytest.raises(errors.JobEnded, match="succeeded"):
            call(submitted.id)
    assert [event.data for event in client.events(submitted.id) if event.kind is EventKind.UNPAUSED] == [
        {"by": "admin"}
    ] * 2


def test_extend_adds_epochs_once(service: Any, client: Client, job: dict[str, Any]) -> None:
    submitted = client.submit(job)
    with pytest.raises(errors.JobNotEnded):
        client.extend(submitted.id, 2)
    worker = service.claim()
    worker.epoch(1, 0.5)
    worker.snapshot(1)
    worker.finish(Reason.EARLY_STOPPED)
    extended = [client.extend(submitted.id, 2) for _ in range(2)]
    assert extended[0].spec == extended[1].spec
    assert (extended[0].state, extended[0].progress.epochs) == (JobState.QUEUED, 1 + 2)
    with pytest.raises(errors.JobNotEnded):
        client.extend(submitted.id, 3)
    service.claim().finish(Reason.NAN_LOSS)
    with pytest.raises(errors.JobNotExtendable, match="nan_loss"):
        client.extend(submitted.id, 2)
    for epochs in (0, -1, 2.5, True):
        with pytest.raises(errors.InvalidRequest) as caught:
            client.extend(submitted.id, epochs)  # type: ignore[arg-type]
        assert [fault.pointer for fault in caught.value.errors] == ["/epochs"]


def test_wait_continues_through_a_pause(service: Any, client: Client, job: dict[str, Any]) -> None:
    submitted = client.submit(job)
    states: list[JobState] = []

    def play(view: Any) -> None:
        states.append(view.state)
        if view.state is JobState.PAUSED:
            client.resume(submitted.id)
            service.claim().finish()
        elif states == [JobState.QUEUED]:
            client.pause(submitted.id)

    assert client.wait(submitted.id, timeout=300, on_update=play).reason is Reason.COMPLETED
    assert states[:2] == [JobState.QUEUED, JobState.PAUSED]


def test_the_package_exports_the_client_and_refuses_unknown_names() -> None:
    assert fitqueue.Client is Client
    with pytest.raises(AttributeError, match="'Nothing'"):
        _ = fitqueue.Nothing


def test_submitting_again_with_the_same_key_returns_the_same_job(client: Client, job: dict[str, Any]) -> None:
    first = client.submit(job, idempotency_key="the nightly run of 24 November")
    assert client.submit(job, idempotency_key="the nightly run of 24 November").id == first.id
    assert client.submit(job, idempotency_key="the nightly run of 25 November").id != first.id
