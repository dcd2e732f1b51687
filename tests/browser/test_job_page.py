"""The page of a job, with rows as workers record them."""

import json
import math
import re
from typing import Any
from zoneinfo import ZoneInfo

from playwright.sync_api import Page, expect

from fitqueue.reports import Position
from fitqueue.states import Reason
from service import clock
from service.store import attempt_outcomes, jobs, leases, recording, step_metrics, workers
from tests.browser.accessibility import assert_accessible
from tests.browser.conftest import Look, OpenPage
from tests.browser.login import log_in
from tests.browser.problems import Problems
from tests.browser.rows import HOSTILE, claim, finish, insert_epochs, record_epochs, store_job
from tests.browser.serving import PreparedAPI
from tests.reports import artifact_written, checkpoint_written, printed


def drawn(page: Page, title: str) -> dict[str, dict[str, Any]]:
    """Return what Plotly has drawn in the chart of this metric: its lines and marks by name."""
    plot = page.locator(f'figure[data-chart="metric-{title}"] .plot')
    expect(plot.locator(".main-svg").first).to_be_visible()
    data = plot.evaluate("plot => plot.data.map(({name, x, y, mode, text, line}) => ({name, x, y, mode, text, line}))")
    return {f"{trace['name']} {trace['mode']}": trace for trace in data}


def test_a_page_shows_its_job_in_each_appearance(page_in_each_appearance: Page, api: PreparedAPI, look: Look) -> None:
    page = page_in_each_appearance
    job_id = store_job(api.database, name="vision", labels={"team": "lab"})
    lease = claim(api.database, job_id)
    logs = [{"loss": 1 / n, "accuracy": 0.9, "val_loss": 1.1 / n, "val_accuracy": 0.8} for n in range(1, 8)]
    record_epochs(api.database, lease, logs)
    with api.database.write() as session:
        job = leases.held_job(session, lease)
        recording.record_lines(session, job, [printed(f"line {n}") for n in range(50)])
        recording.record_artifact(session, job, artifact_written("logs/events.out"), "artifacts/key")
    log_in(page, api.url, api.token, f"/jobs/{job_id}")
    expect(page.get_by_role("heading", name="vision")).to_be_visible()
    lines = drawn(page, "loss")
    assert lines["loss lines+markers"]["y"] == [row["loss"] for row in logs]
    assert lines["val_loss lines+markers"]["y"] == [row["val_loss"] for row in logs]
    assert lines["val_loss lines+markers"]["line"]["dash"] == "dash"
    expect(page.get_by_role("link", name="logs/events.out")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    assert_accessible(page)
    look(page, "job")
    finish(api.database, lease)
    expect(page.locator(".state").first).to_have_text("succeeded")
    expect(page).to_have_title("succeeded · vision – FitQueue")


def test_values_that_are_not_finite_are_marks(page: Page, api: PreparedAPI) -> None:
    job_id = store_job(api.database)
    lease = claim(api.database, job_id)
    record_epochs(api.database, lease, [{"loss": value} for value in (2.0, math.inf, 1.0, math.nan, -math.inf)])
    finish(api.database, lease, Reason.NAN_LOSS, "The loss became NaN in epoch 4.")
    log_in(page, api.url, api.token, f"/jobs/{job_id}")
    lines = drawn(page, "loss")
    assert lines["loss lines+markers"]["y"] == [2.0, None, 1.0, None, None]
    marks = lines["loss markers"]
    assert (marks["x"], marks["text"]) == ([2, 4, 5], ["Infinity", "NaN", "-Infinity"])
    cells = page.locator("#epochs tbody tr td:nth-child(2)")
    expect(cells).to_have_text(["-Infinity", "NaN", "1", "Infinity", "2"])


def test_hostile_text_is_only_text(page: Page, api: PreparedAPI, problems: Problems) -> None:
    job_id = store_job(api.database, name=HOSTILE[:100], labels={"key": HOSTILE[:60]})
    lease = claim(api.database, job_id, worker=HOSTILE[:60])
    metric = HOSTILE[:80]
    record_epochs(api.database, lease, [{"loss": 1.0, metric: 0.5, f"val_{metric}": 0.25}, {"loss": 1.0, metric: 0.5}])
    log_in(page, api.url, api.token, f"/jobs/{job_id}")
    drawn(page, "loss")
    with api.database.write() as session:
        job = leases.held_job(session, lease)
        recording.record_lines(session, job, [printed(HOSTILE)])
        recording.record_artifact(session, job, artifact_written(HOSTILE[:100]), "artifacts/hostile")
    record_epochs(api.database, lease, [{"loss": 0.5, metric: 0.5}], first=3)
    expect(page.locator("#log")).to_contain_text(HOSTILE)
    finish(api.database, lease, Reason.INTERNAL_ERROR, HOSTILE)
    expect(page.locator("[data-field=sentence]")).to_have_text(HOSTILE)
    expect(page.get_by_role("link", name=HOSTILE[:100])).to_be_visible()
    expect(page.get_by_role("heading", name=HOSTILE[:100])).to_be_visible()
    expect(page.locator(".label").first).to_have_text(f"key={HOSTILE[:60]}")
    expect(page.locator("figcaption").nth(1)).to_have_text(metric)
    assert page.locator("img").count() == 0
    page.locator("figure").nth(1).hover()
    assert problems.seen == []


def test_an_attempt_that_resumed_is_marked_and_replaces_what_was_lost(page: Page, api: PreparedAPI) -> None:
    job_id = store_job(api.database)
    lease = claim(api.database, job_id)
    record_epochs(api.database, lease, [{"loss": 0.5}] * 4)
    log_in(page, api.url, api.token, f"/jobs/{job_id}")
    expect(page.locator("#curves")).to_have_attribute("data-drawn", "4")
    with api.database.write() as session:
        attempt_outcomes.requeue(session, lease, "The worker shuts down.")
    again = claim(api.database, job_id)
    with api.database.write() as session:
        recording.begin_training(session, leases.held_job(session, again), recording.Position(2, 0))
    record_epochs(api.database, again, [{"loss": 0.25}], first=3)
    expect(page.locator("#curves")).to_have_attribute("data-drawn", "3")
    assert drawn(page, "loss")["loss lines+markers"]["y"] == [0.5, 0.5, 0.25]
    marks = page.locator('figure[data-chart="metric-loss"] .plot').evaluate(
        "plot => plot.layout.annotations.map(({x, text}) => [x, text])"
    )
    assert [3, "attempt 2"] in marks


def test_choices_stay_after_a_reload(page: Page, api: PreparedAPI) -> None:
    job_id = store_job(api.database)
    record_epochs(api.database, claim(api.database, job_id), [{"loss": 1.0}, {"loss": 0.1}])
    log_in(page, api.url, api.token, f"/jobs/{job_id}")
    page.get_by_label("Log scale").check()
    page.get_by_label("Over").select_option("time")
    assert page.url.endswith("?scale=log&x=time")
    page.reload()
    expect(page.get_by_label("Log scale")).to_be_checked()
    drawn(page, "loss")
    plot = page.locator('figure[data-chart="metric-loss"] .plot')
    assert plot.evaluate("plot => [plot.layout.yaxis.type, plot.layout.xaxis.type]") == ["log", "date"]


def test_a_job_is_cancelled_extended_and_deleted(page: Page, api: PreparedAPI) -> None:
    job_id = store_job(api.database, epochs=2)
    lease = claim(api.database, job_id)
    record_epochs(api.database, lease, [{"loss": 1.0}])
    log_in(page, api.url, api.token, f"/jobs/{job_id}")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="No").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator("[data-field=sentence]")).to_have_text("Stopping: it was asked to cancel.")
    finish(api.database, lease, Reason.CANCELLED_BY_USER, "It was cancelled.")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    page.context.clear_cookies()


def test_a_job_that_makes_room_says_so_while_it_is_open(page: Page, api: PreparedAPI, look: Look) -> None:
    job_id = store_job(api.database, preemptible=True)
    lease = claim(api.database, job_id)
    record_epochs(api.database, lease, [{"loss": 1.0}])
    log_in(page, api.url, api.token, f"/jobs/{job_id}")
    sentence = page.locator("[data-field=sentence]")
    expect(sentence).to_contain_text("Training epoch 1 of 10")
    with api.database.write() as session:
        job = leases.held_job(session, lease)
        job.preempt_requested_at = clock.now(session)
        job.version += 1
    expect(sentence).to_have_text("Stopping: it makes room for another job, and goes on by itself.")
    with api.database.write() as session:
        workers.register(session, "w1", host="h", pools=[job.pool], slots=1, devices=[], gpus=[])
        attempt_outcomes.requeue(session, lease, "The job made room for another one.", preempted=True)
    expect(sentence).to_contain_text("waiting for idle devices again: it made room for another job")
    look(page, "preempted")
    page.goto(f"{api.url}/queue")
    look(page, "queue-preempted")


def test_a_job_of_five_thousand_epochs(page: Page, api: PreparedAPI) -> None:
    job_id = store_job(api.database, epochs=5000)
    lease = claim(api.database, job_id)
    values = {"loss": lambda n: 1 / n, "val_loss": lambda n: 2.0 if n == 3333 else 1.1 / n}
    insert_epochs(api.database, lease, 5000, values)
    finish(api.database, lease)
    log_in(page, api.url, api.token, f"/jobs/{job_id}")
    expect(page.locator("#curves")).to_have_attribute("data-drawn", "5000")
    lines = drawn(page, "loss")
    shown = lines["val_loss lines"]
    assert max(shown["y"][100:]) == 2.0, "a single spike is drawn, although not every point is"
    assert shown["x"][shown["y"].index(2.0, 100)] == 3333
    assert len(shown["y"]) < 4000
    expect(page.locator("#epochs tbody tr")).to_have_count(100)


def test_the_log_is_searched(page: Page, api: PreparedAPI) -> None:
    job_id = store_job(api.database)
    lease = claim(api.database, job_id)
    with api.database.write() as session:
        recording.record_lines(session, leases.held_job(session, lease), [printed(f"line {n}") for n in range(30)])
    log_in(page, api.url, api.token, f"/jobs/{job_id}")
    page.get_by_label("Search").fill("LINE 17")
    expect(page.locator("#log span:visible")).to_have_text(["line 17"])


def test_a_job_that_does_not_exist(page: Page, api: PreparedAPI, problems: Problems) -> None:
    problems.allow("404")
    log_in(page, api.url, api.token, "/jobs/job_none")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    assert_accessible(page)


def test_the_spec_is_downloaded_as_it_was_submitted(page: Page, api: PreparedAPI) -> None:
    job_id = store_job(api.database, name="你好")
    log_in(page, api.url, api.token, f"/jobs/{job_id}")
    with page.expect_download() as download:
        page.locator("#download-spec").click()
    assert json.loads(download.value.path().read_text("utf-8"))["name"] == "你好"


def test_points_within_epochs_are_thin_lines(page: Page, api: PreparedAPI) -> None:
    job_id = store_job(api.database)
    lease = claim(api.database, job_id)
    with api.database.write() as session:
        job = leases.held_job(session, lease)
        for step in (1, 2, 3):
            step_metrics.add(session, job, Position(0, step), {"loss": 1 / step})
        recording.record_progress(job, Position(0, 3), 4, {"loss": 1 / 3})
    log_in(page, api.url, api.token, f"/jobs/{job_id}")
    lines = drawn(page, "loss")
    [thin] = [line for name, line in lines.items() if name.startswith("loss (within epochs)")]
    assert thin["y"] == [1.0, 0.5, 1 / 3]
    assert thin["x"] == [0.25, 0.5, 0.75]
    assert thin["line"]["width"] == 1


def test_words_and_times_are_those_of_the_reader(open_page: OpenPage, api: PreparedAPI) -> None:
    page = open_page(locale="zh-CN", timezone_id="Asia/Shanghai")
    job_id = store_job(api.database)
    with api.database.read() as session:
        created_at = jobs.get(session, job_id).created_at
    log_in(page, api.url, api.token, f"/jobs/{job_id}")
    expect(page.locator(".state").first).to_have_text("排队中")
    expect(page.get_by_role("heading", name="曲线")).to_be_visible()
    local = created_at.astimezone(ZoneInfo("Asia/Shanghai"))
    time = page.locator(".facts time").first
    expect(time).to_contain_text(f"{local:%H:%M}")
    expect(time).to_have_attribute("title", re.compile(f"{local.year}年.*{local:%H:%M:%S}"))


def test_epoch_and_best_are_patched_while_the_job_trains(page: Page, api: PreparedAPI) -> None:
    job_id = store_job(api.database)
    lease = claim(api.database, job_id)
    record_epochs(api.database, lease, [{"loss": 0.5}])
    log_in(page, api.url, api.token, f"/jobs/{job_id}")
    expect(page.locator("[data-field=epochs]")).to_have_text("1/10")
    record_epochs(api.database, lease, [{"loss": 0.25}], first=2)
    with api.database.write() as session:
        recording.record_checkpoint(
            session, leases.held_job(session, lease), checkpoint_written(["best"], 2, value=0.25), "checkpoints/key"
        )
    expect(page.locator("[data-field=epochs]")).to_have_text("2/10")
    expect(page.locator("[data-field=best]")).to_have_text("loss 0.25 in epoch 2")
    expect(page.get_by_role("link", name="best", exact=True)).to_be_visible()
