"""The list of jobs, the queue with the workers, and the data sets."""

import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import delete, update

import fitqueue
from service import clock
from service.db import Database
from service.models import GPUClaim, Job, Worker
from service.store import workers
from service.store.workers import MeasuredGPU
from tests.browser.accessibility import assert_accessible
from tests.browser.conftest import Look
from tests.browser.login import log_in
from tests.browser.problems import Problems
from tests.browser.rows import HOSTILE, claim, finish, record_epochs, store_copies, store_job
from tests.browser.serving import PreparedAPI
from tests.small_job import small_job

HOUR = timedelta(hours=1)
PATHS = {"jobs": "/", "queue": "/queue", "datasets": "/datasets"}


def _nothing_sticks_out(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def _register_worker(database: Database, job_id: str) -> None:
    """Register a worker that trains a job and sees two GPUs, one of which its driver says all about."""
    gpus = [
        MeasuredGPU("GPU-0a", "NVIDIA H100", 97, 40 * 10**9, 85 * 10**9),
        MeasuredGPU("GPU-0b", HOSTILE[:40], None, None, None),
    ]
    with database.write() as session:
        workers.register(
            session,
            "w1",
            host=HOSTILE[:60],
            pools=["other"],
            slots=2,
            devices=["NVIDIA H100"],
            gpus=[gpu.uuid for gpu in gpus],
            gpu_use=gpus,
            versions={"keras": "3.15.1", "fitqueue": HOSTILE[:20]},
        )
        session.add(
            GPUClaim(gpu_uuid="GPU-0a", job_id=job_id, attempt=1, worker_id="w1", claimed_at=clock.now(session))
        )


@pytest.fixture(scope="module")
def filled(api: PreparedAPI) -> PreparedAPI:
    """An API with jobs in several states, a worker and data sets."""
    done = claim(api.database, store_job(api.database, name="done", labels={"team": "vision"}))
    record_epochs(api.database, done, [{"loss": 0.5}] * 10)
    finish(api.database, done)
    runs = store_job(api.database, name="runs", resources={"pool": "other"})
    claim(api.database, runs)
    _register_worker(api.database, runs)
    store_job(api.database, name=HOSTILE[:100], labels={"key": HOSTILE[:60]}, resources={"pool": "waits"})
    store_job(api.database, name="second", resources={"pool": "waits"})
    return api


@pytest.mark.parametrize("name", PATHS)
def test_a_page_in_each_appearance(page_in_each_appearance: Page, filled: PreparedAPI, look: Look, name: str) -> None:
    page = page_in_each_appearance
    log_in(page, filled.url, filled.token, PATHS[name])
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert _nothing_sticks_out(page)
    assert page.locator("img").count() == 0
    assert_accessible(page)
    look(page, name)


def test_jobs_are_filtered_and_sorted_by_the_address(page: Page, filled: PreparedAPI) -> None:
    log_in(page, filled.url, filled.token, "/")
    page.get_by_role("checkbox", name="succeeded").check()
    page.get_by_label("Label").fill("team=vision")
    page.get_by_label("Sort by").select_option("name")
    page.get_by_role("button", name="Filter").click()
    names = page.locator("table.jobs tbody tr td a")
    expect(names).to_have_text(["done"])
    page.reload()
    expect(names).to_have_text(["done"])
    expect(page.get_by_role("checkbox", name="succeeded")).to_be_checked()
    expect(page.get_by_label("Sort by")).to_have_value("name")
    page.get_by_role("link", name="Show all").click()
    expect(page.get_by_role("link", name="runs")).to_be_visible()


def test_a_list_is_kept_up_to_date(page: Page, filled: PreparedAPI) -> None:
    log_in(page, filled.url, filled.token, "/?name=late")
    expect(page.get_by_text("No job matches.")).to_be_visible()
    store_job(filled.database, name="late", resources={"pool": "late"})
    expect(page.get_by_role("link", name="late")).to_be_visible()


def test_a_wrong_filter_is_named(page: Page, filled: PreparedAPI) -> None:
    log_in(page, filled.url, filled.token, "/?state=sleeping")
    expect(page.get_by_role("alert")).to_contain_text("state")
    expect(page.get_by_role("link", name="done")).to_be_visible()


def test_the_queue_says_what_a_job_waits_for(page: Page, filled: PreparedAPI) -> None:
    log_in(page, filled.url, filled.token, "/queue?pool=waits")
    rows = page.locator("[data-part=waiting] tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text(HOSTILE[:100])
    expect(rows.nth(1)).to_contain_text("a worker that serves the pool 'waits'; none is alive")
    expect(page).to_have_title("Queue (2 waiting) – FitQueue")


def test_a_job_that_waits_says_when_it_starts_and_ends(page: Page, filled: PreparedAPI) -> None:
    runs, waits = (store_job(filled.database, name=name, resources={"pool": "planned"}) for name in ("long", "next"))
    claim(filled.database, runs, worker="w2")
    with filled.database.write() as session:
        workers.register(session, "w2", host="h", pools=["planned"], slots=1, devices=[], gpus=[])
        # Nobody sends its heartbeats.
        session.execute(update(Worker).where(Worker.id == "w2").values(last_seen_at=clock.now(session) + timedelta(1)))
        session.execute(update(Job).where(Job.id == runs).values(seconds_per_epoch=1200, may_end_early=False))
        session.execute(update(Job).where(Job.id == waits).values(seconds_per_epoch=60, may_end_early=True))
    log_in(page, filled.url, filled.token, "/queue?pool=planned")
    row = page.locator("[data-part=waiting] tbody tr")
    expect(row).to_contain_text("about 3 h 20 min")
    expect(row).to_contain_text("at most 3 h 30 min")
    expect(row.locator("time[data-style=words]").first).to_have_attribute("title", re.compile(r"\d:\d\d:\d\d"))
    page.goto(f"{filled.url}/?pool=planned")
    rows = page.locator("table.jobs tbody tr")
    expect(rows.first).to_contain_text("Number 1 in its pool, waiting for a free worker. Starts in about 3 h 20 min.")
    rows.first.get_by_role("link").click()
    expect(page.locator("[data-field=sentence]")).to_contain_text("Starts in about 3 h 20 min.")


def test_a_job_is_moved_and_changed_and_a_worker_drained(page: Page, filled: PreparedAPI) -> None:
    first, second = (store_job(filled.database, name=name, resources={"pool": "moved"}) for name in ("a", HOSTILE[:60]))
    with filled.database.write() as session:
        workers.register(session, "wk_d", host="drained", pools=["none"], slots=1, devices=["CPU"], gpus=[])
        # However slow this machine is, the worker seems alive.
        session.execute(update(Worker).where(Worker.id == "wk_d").values(last_seen_at=clock.now(session) + HOUR))
    log_in(page, filled.url, filled.token, "/queue?pool=moved")
    rows = page.locator("[data-part=waiting] tbody tr")
    page.get_by_role("button", name="to the front").press("Enter")
    expect(rows.first).to_contain_text(HOSTILE[:60])
    worker = page.locator("article", has=page.get_by_role("heading", name="drained"))
    worker.get_by_role("button", name="Drain").click()
    page.get_by_label("Requeue its jobs").fill("10")
    page.get_by_label("Requeue its jobs").press("Enter")
    expect(worker.locator(".state")).to_have_text("draining")
    worker.get_by_role("button", name="End the drain").click()
    expect(worker.locator(".state")).to_have_text("alive")
    with filled.database.write() as session:
        session.execute(delete(Worker).where(Worker.id == "wk_d"))
    page.goto(f"{filled.url}/jobs/{first}")
    page.get_by_role("button", name="Change").click()
    page.get_by_label("Name").fill("b")
    page.get_by_label("Priority").fill("7")
    page.get_by_role("dialog").get_by_role("button", name="Change").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("b")
    expect(page.locator("#events")).to_contain_text("the priority from 0 to 7")
    page.goto(f"{filled.url}/jobs/{second}")
    page.get_by_role("button", name="Move to the front").click()
    expect(page.get_by_role("button", name="Move to the front")).to_have_count(0)


def test_a_job_that_waits_becomes_preemptible(page_in_each_appearance: Page, api: PreparedAPI, look: Look) -> None:
    page = page_in_each_appearance
    job_id = store_job(api.database, name="idle")
    log_in(page, api.url, api.token, f"/jobs/{job_id}")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_label("Preemptible")).not_to_be_checked()
    page.get_by_label("Preemptible").check()
    assert_accessible(page)
    look(page, "change")
    page.get_by_role("dialog").get_by_role("button", name="Change").click()
    expect(page.locator(".facts")).to_contain_text("runs on idle devices, and makes room for others")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_label("Preemptible")).to_be_checked()
    page.get_by_label("Preemptible").uncheck()
    page.get_by_role("dialog").get_by_role("button", name="Change").click()
    expect(page.locator(".facts")).not_to_contain_text("idle devices")


def _drop(page: Page, file: Path) -> None:
    make = """([name, bytes]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], name));
        return transfer;
    }"""
    transfer = page.evaluate_handle(make, [file.name, list(file.read_bytes())])
    page.locator("body").dispatch_event("drop", {"dataTransfer": transfer})


def test_a_data_set_is_dropped_looked_at_and_deleted(
    page: Page, filled: PreparedAPI, tmp_path: Path, look: Look
) -> None:
    images = np.arange(3 * 9 * 9, dtype=np.uint8).reshape(3, 9, 9)
    arrays = {"images": images, "y": np.array([0.5, np.nan, np.inf]), "table": np.arange(60.0).reshape(30, 2)}
    np.savez(tmp_path / "my data.npz", **arrays)
    log_in(page, filled.url, filled.token, "/datasets")
    _drop(page, tmp_path / "my data.npz")
    expect(page.get_by_role("heading", name="my-data")).to_be_visible()
    canvases = page.locator("canvas")
    expect(canvases).to_have_count(3)
    pixels = canvases.first.evaluate("canvas => [...canvas.getContext('2d').getImageData(0, 0, 9, 9).data]")
    high = int(images.max())
    assert pixels[::4] == [round(255 * value / high) for value in images[0].flatten().tolist()]
    page.locator("#preview-array").select_option("y")
    expect(page.locator("#preview-rows td")).to_have_text(["0.5", "NaN", "Infinity"])
    page.locator("#preview-array").select_option("table")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("Rows 21 to 30 of 30.")).to_be_visible()
    assert "array=table" in page.url
    page.reload()
    expect(page.get_by_text("Rows 21 to 30 of 30.")).to_be_visible()
    assert_accessible(page)
    look(page, "dataset")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Data sets")).to_be_visible()
    expect(page.get_by_role("link", name="my-data")).to_have_count(0)


def test_an_upload_that_is_refused_says_why(
    page: Page, filled: PreparedAPI, tmp_path: Path, problems: Problems
) -> None:
    problems.allow("422")
    (tmp_path / "bad.npz").write_bytes(b"not a zip")
    log_in(page, filled.url, filled.token, "/datasets")
    page.set_input_files("#upload-file", tmp_path / "bad.npz")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator(".message.error")).to_be_visible()
    expect(page.locator("#upload-state")).to_be_hidden()


def test_a_data_set_names_the_jobs_that_use_it(page: Page, filled: PreparedAPI, tmp_path: Path) -> None:
    np.savez(tmp_path / "shared.npz", x=np.zeros((4, 2)), y=np.zeros(4))
    with fitqueue.Client(filled.url, filled.token) as client:
        dataset = client.upload(tmp_path / "shared.npz", name="shared")
        data = {"dataset": "shared", "x": "x", "y": "y"}
        client.submit({**small_job(1), "name": "uses it", "data": data, "resources": {"pool": "none"}})
    log_in(page, filled.url, filled.token, f"/datasets/{dataset.id}")
    expect(page.get_by_role("link", name="uses it")).to_be_visible()


def test_a_worker_shows_its_gpus_and_who_holds_them(page: Page, filled: PreparedAPI) -> None:
    log_in(page, filled.url, filled.token, "/queue?gone=true")  # nobody sends its heartbeats
    worker = page.get_by_role("article").filter(has_text="NVIDIA H100")
    expect(worker.get_by_role("heading")).to_have_text(HOSTILE[:60])
    rows = worker.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("97 %")
    expect(rows.first).to_contain_text("40.0 GB / 85.0 GB")
    expect(rows.first.get_by_role("link")).to_have_text("runs")
    expect(rows.nth(1)).to_contain_text("free")
    expect(worker).to_contain_text("keras 3.15.1")


def test_of_ten_thousand_jobs_a_page_is_shown_and_the_next(page: Page, filled: PreparedAPI) -> None:
    store_copies(filled.database, store_job(filled.database, name="many", resources={"pool": "many"}), 10_000)
    log_in(page, filled.url, filled.token, "/?name=many")
    rows = page.locator("table.jobs tbody tr")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("Number 10001 in its pool")
    page.get_by_role("link", name="Older jobs").click()
    expect(rows.first).to_contain_text("Number 9951 in its pool")
    page.goto(f"{filled.url}/queue?pool=many")
    expect(page.locator("[data-part=waiting] tbody tr")).to_have_count(50)


def test_the_login_in_each_appearance(
    page_in_each_appearance: Page, filled: PreparedAPI, look: Look, problems: Problems
) -> None:
    page = page_in_each_appearance
    page.goto(f"{filled.url}/queue?pool=waits")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert_accessible(page)
    look(page, "login")
    problems.allow("401")
    page.get_by_label("Token").fill("fq_wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("The token is invalid, or was revoked.")
    page.get_by_label("Token").fill(filled.token)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{filled.url}/queue?pool=waits")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.goto(f"{filled.url}/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
