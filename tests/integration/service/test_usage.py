"""What a job has used."""

from flask.testing import FlaskClient

from fitqueue.views import JobUsage, StoredBytes, Use
from service.db import Database
from service.store import leases, recording
from service.store.leases import Lease
from service.store.usage import MeasuredUse
from tests.integration.fixture_types import AdvanceClock, Submit
from tests.reports import artifact_written, checkpoint_written


def get_usage(http: FlaskClient, url: str) -> JobUsage:
    return JobUsage.model_validate_json(http.get(f"{url}/usage").data)


def test_a_running_job_shows_what_was_measured_and_stored(
    http: FlaskClient, database: Database, lease: Lease, url: str, advance_clock: AdvanceClock
) -> None:
    advance_clock(100)
    with database.write() as session:
        leases.renew(session, lease, 30.0, MeasuredUse(12.25, 3_000_000_000, 0))
        job = leases.held_job(session, lease)
        recording.record_checkpoint(session, job, checkpoint_written(["best", "last"], size=70), "key")
        recording.record_artifact(session, job, artifact_written("log.csv"), "another")
    usage = get_usage(http, url)
    assert usage.attempt == 1
    assert usage.stored_bytes == StoredBytes(checkpoints=70, snapshots=0, artifacts=10, total=80)
    assert 100 <= usage.last_attempt.seconds <= usage.all_attempts.seconds
    expected = Use(
        seconds=usage.last_attempt.seconds, gpu_seconds=0, cpu_seconds=12.25, peak_memory_bytes=3_000_000_000,
        peak_gpu_memory_bytes=None,
    )  # fmt: skip
    assert usage.last_attempt == expected
    page = http.get(f"/jobs/{lease.job_id}").text
    for name, text in (("CPU time", "12 s"), ("Peak memory", "3.0 GB"), ("Stored", "80 B")):
        assert f"<dt>{name}</dt><dd>{text}</dd>" in page
    assert "GPU time" not in page, "it has no GPU"
    etag = http.get(url).headers["ETag"]
    with database.write() as session:
        leases.renew(session, lease, 30.0, MeasuredUse(13.0, 3_000_000_000, 0))
    assert http.get(url).headers["ETag"] == etag, "a measurement alone does not wake those who wait for a change"


def test_a_job_that_waits_has_used_nothing(http: FlaskClient, submit: Submit) -> None:
    usage = get_usage(http, f"/api/v1/jobs/{submit()}")
    nothing = Use(seconds=0, gpu_seconds=0, cpu_seconds=0, peak_memory_bytes=None, peak_gpu_memory_bytes=None)
    assert (usage.attempt, usage.last_attempt, usage.all_attempts) == (0, nothing, nothing)
    assert http.get("/api/v1/jobs/job_none/usage").status_code == 404
