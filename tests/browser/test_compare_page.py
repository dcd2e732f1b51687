"""The page that compares jobs, and what is done with several jobs of the list."""

import math
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from benchmarks import comparison
from benchmarks.trained_jobs import store_trained_job
from fitqueue.states import Reason
from service.store import jobs
from tests.browser.accessibility import assert_accessible
from tests.browser.conftest import Look, OpenPage
from tests.browser.login import log_in
from tests.browser.problems import Problems
from tests.browser.rows import HOSTILE, claim, finish, insert_epochs, record_epochs, store_job
from tests.browser.serving import PreparedAPI
from tests.waiting import until


def ended_job(api: PreparedAPI, logs: list[dict[str, float]], **fields: Any) -> str:
    job_id = store_job(api.database, len(logs), **fields)
    lease = claim(api.database, job_id)
    record_epochs(api.database, lease, logs)
    finish(api.database, lease)
    return job_id


def open_comparison(page: Page, api: PreparedAPI, job_ids: list[str]) -> None:
    log_in(page, api.url, api.token)
    page.goto(f"{api.url}{comparison.path(job_ids)}")


def lines(page: Page, metric: str) -> list[dict[str, Any]]:
    """Return what Plotly has drawn in the chart of this metric, the marks of values that are not finite included."""
    plot = page.locator(f'figure[data-chart="metric-{metric}"] .plot')
    expect(plot.locator(".main-svg").first).to_be_visible()
    traces: list[dict[str, Any]] = plot.evaluate(
        "plot => plot.data.map(({name, x, y, text, line: {color, dash} = {}}) => ({name, x, y, text, color, dash}))"
    )
    return traces


@pytest.fixture(scope="module")
def three(api: PreparedAPI) -> list[str]:
    """The ids of three jobs that have ended."""
    return [
        ended_job(api, [{"loss": 1 / n, "val_loss": 1.1 / n} for n in range(1, 9)], name="first", seed=1),
        ended_job(api, [{"loss": 2 / n, "val_loss": 2.1 / n} for n in range(1, 5)], name="second", seed=1),
        ended_job(api, [{"loss": 0.5}, {"loss": math.nan}, {"loss": math.inf}], name=HOSTILE[:100], seed=2),
    ]


def test_jobs_are_compared_in_each_appearance(
    page_in_each_appearance: Page, api: PreparedAPI, three: list[str], look: Look
) -> None:
    page = page_in_each_appearance
    open_comparison(page, api, three)
    comparison.wait_until_drawn(page, 3)
    expect(page).to_have_title("Compare 3 jobs – FitQueue")
    first, first_val, second, second_val, third, marks = lines(page, "loss")
    assert (first["name"], first["y"]) == ("first", [1 / n for n in range(1, 9)])
    assert (first["dash"], first_val["dash"]) == ("solid", "dash")
    assert first["color"] == first_val["color"] != second["color"] == second_val["color"]
    assert (third["x"], third["y"]) == ([1, 2, 3], [0.5, None, None])
    assert (marks["x"], marks["text"]) == ([2, 3], ["NaN", "Infinity"])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    assert_accessible(page)
    look(page, "compare")


def test_a_pointer_reads_all_jobs_at_an_epoch(page: Page, api: PreparedAPI, three: list[str]) -> None:
    open_comparison(page, api, three)
    comparison.wait_until_drawn(page, 3)
    page.locator(".plot .nsewdrag").first.hover()
    reading = page.locator(".reading")
    title = reading.locator("p").text_content() or ""
    epoch = int(title.removeprefix("Epoch "))
    texts = reading.locator("tr").all_text_contents()
    assert len(texts) == 1 + (epoch <= 4) + (epoch <= 3)
    assert texts[0].strip() == f"first{1 / epoch:.6g}{1.1 / epoch:.6g}"
    page.mouse.move(0, 0)
    expect(reading).to_have_count(0)


def test_a_keyboard_reads_all_jobs_at_an_epoch(page: Page, api: PreparedAPI, three: list[str]) -> None:
    open_comparison(page, api, three)
    comparison.wait_until_drawn(page, 3)
    page.locator("#epoch-values-title").press("Enter")
    page.get_by_label("Epoch", exact=True).press("ArrowUp")
    expect(page.locator("#epoch-table tbody tr").nth(0)).to_have_text("first0.50.55")
    expect(page.locator("#epoch-table tbody tr").nth(2).locator("td").first).to_have_text("NaN")
    assert_accessible(page)


def test_the_table_is_sorted_by_keyboard_and_the_address_keeps_it(
    page: Page, api: PreparedAPI, three: list[str]
) -> None:
    open_comparison(page, api, three)
    comparison.wait_until_drawn(page, 3)
    names = page.locator("[data-part=bests] tbody th")
    page.get_by_role("link", name="Epochs").press("Enter")
    expect(names.first).to_contain_text(HOSTILE[:100])
    page.get_by_role("link", name="Epochs").press("Enter")
    expect(names.first).to_contain_text("first")
    expect(page.get_by_role("link", name="Epochs")).to_be_focused()
    page.reload()
    expect(names.first).to_contain_text("first")
    expect(page.get_by_role("columnheader", name="Epochs")).to_have_attribute("aria-sort", "descending")


def test_jobs_are_added_and_removed_and_keep_their_colours(page: Page, api: PreparedAPI, three: list[str]) -> None:
    open_comparison(page, api, three[:2])
    comparison.wait_until_drawn(page, 2)
    color = lines(page, "loss")[2]["color"]
    page.get_by_role("link", name="Remove first from the comparison").click()
    expect(page).to_have_url(f"{api.url}{comparison.path(three[1:2])}")
    expect(page.locator("[data-part=chosen] li")).to_have_count(1)
    comparison.wait_until_drawn(page, 1)
    assert [line["color"] for line in lines(page, "loss")] == [color, color]
    page.go_back()
    expect(page.locator("[data-part=chosen] li")).to_have_count(2)
    comparison.wait_until_drawn(page, 2)
    page.get_by_label("Add a job").fill(three[2])
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page).to_have_url(f"{api.url}{comparison.path(three)}")
    comparison.wait_until_drawn(page, 3)


def test_only_differences_are_shown_until_the_switch_is_used(page: Page, api: PreparedAPI, three: list[str]) -> None:
    open_comparison(page, api, three[:2])
    pointers = page.locator("[data-part=differences] tbody th")
    expect(pointers).to_have_text(["/name", "/fit/epochs", "/resources/pool"])
    page.get_by_role("link", name="Show equal values, too").click()
    expect(pointers.filter(has_text="/fit/batch_size")).to_be_visible()
    page.get_by_role("link", name="Show only what differs").click()
    expect(pointers).to_have_text(["/name", "/fit/epochs", "/resources/pool"])


def test_scale_and_axis_are_kept_in_the_address(page: Page, api: PreparedAPI, three: list[str]) -> None:
    open_comparison(page, api, three)
    comparison.wait_until_drawn(page, 3)
    page.get_by_label("Log scale").check()
    page.get_by_label("Over").select_option("time")
    expect(page).to_have_url(re.compile("scale=log&x=time"))
    page.reload()
    comparison.wait_until_drawn(page, 3)
    layout = page.locator(".plot").first.evaluate("plot => [plot.layout.yaxis.type, plot.layout.xaxis.title.text]")
    assert layout == ["log", "Seconds since the start"]


def test_a_running_job_grows_and_an_ended_one_is_not_asked_for(page: Page, api: PreparedAPI, three: list[str]) -> None:
    job_id = store_job(api.database, name="grows")
    lease = claim(api.database, job_id)
    record_epochs(api.database, lease, [{"loss": 1.0}])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_comparison(page, api, [job_id, three[0]])
    comparison.wait_until_drawn(page, 2)
    expect(page).to_have_title("1 running · Compare 2 jobs – FitQueue")
    record_epochs(api.database, lease, [{"loss": 0.5}, {"loss": 0.25}], first=2)
    until(lambda: lines(page, "loss")[0]["y"] == [1.0, 0.5, 0.25], 120, "the new epochs are drawn")
    finish(api.database, lease, Reason.EARLY_STOPPED)
    expect(page.locator(f"[data-part=chosen] li[data-job={job_id}] .state")).to_have_text("succeeded")
    expect(page).to_have_title("Compare 2 jobs – FitQueue")
    assert any(f"{job_id}/news" in url for url in asked)
    assert not any(f"{three[0]}/news" in url for url in asked)


def test_a_job_that_is_deleted_meanwhile_is_named(
    page: Page, api: PreparedAPI, problems: Problems, three: list[str]
) -> None:
    problems.allow("404")
    job_id = store_job(api.database, name="goes")
    lease = claim(api.database, job_id)
    record_epochs(api.database, lease, [{"loss": 1.0}])
    open_comparison(page, api, [job_id, three[0]])
    comparison.wait_until_drawn(page, 2)
    finish(api.database, lease)
    with api.database.write() as session:
        jobs.delete(session, job_id)
    expect(page.get_by_text(f"There is no job {job_id}")).to_be_visible()
    comparison.wait_until_drawn(page, 1)


def test_twenty_jobs_with_5000_epochs_are_drawn(page: Page, api: PreparedAPI, look: Look) -> None:
    ids = [store_trained_job(api.database, 5000, number) for number in range(20)]
    open_comparison(page, api, ids)
    comparison.wait_until_drawn(page, 20)
    drawn = lines(page, "loss")
    assert len(drawn) == 40
    assert len({line["color"] for line in drawn}) == 20
    look(page, "compare-twenty")
    redraw = comparison.measure_redraw_once(page)
    assert (redraw.charts, redraw.epochs) == (2, 100_000)


def test_a_thinned_line_has_the_extremes_and_a_zoom_shows_all(page: Page, api: PreparedAPI) -> None:
    job_id = store_job(api.database, 5000)
    lease = claim(api.database, job_id)
    insert_epochs(api.database, lease, 5000, {"loss": lambda n: 90.0 if n == 2345 else -90.0 if n == 2346 else n % 7})
    finish(api.database, lease)
    open_comparison(page, api, [job_id])
    comparison.wait_until_drawn(page, 1)
    [line] = lines(page, "loss")
    assert len(line["x"]) < 2500
    assert {2345, 2346, 1, 5000} <= set(line["x"])
    page.locator(".plot").first.evaluate("plot => Plotly.relayout(plot, {'xaxis.range': [1000, 1100]})")
    until(lambda: set(range(1000, 1101)) <= set(lines(page, "loss")[0]["x"]), 120, "all points of the range are drawn")


def test_several_jobs_are_chosen_and_deleted_at_once(open_page: OpenPage, api: PreparedAPI, problems: Problems) -> None:
    page = open_page()
    ids = [ended_job(api, [{"loss": 1.0}], name=f"old-{n}", labels={"group": "old"}) for n in range(3)]
    store_job(api.database, name="waits", labels={"group": "old"})
    log_in(page, api.url, api.token)
    page.goto(f"{api.url}/?label=group%3Dold")
    expect(page.get_by_role("button", name="Compare")).to_be_disabled()
    page.get_by_label("Choose all on this page").check()
    expect(page.locator("#chosen")).to_have_text("4 chosen")
    page.get_by_label("Choose old-2").uncheck()
    store_job(api.database, name="new", labels={"group": "old"})
    expect(page.get_by_label("Choose new")).to_be_visible()  # the list was refreshed
    expect(page.locator("#chosen")).to_have_text("3 chosen")
    for name, shown in (("Delete", True), ("Cancel", True), ("Pause", True), ("Resume", False)):
        expect(page.get_by_role("button", name=name)).to_be_visible(visible=shown)
    assert_accessible(page)
    with api.database.write() as session:
        jobs.delete(session, ids[0])
    problems.allow("404")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("of the")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_label("Choose old-1")).to_have_count(0)
    expect(page.get_by_label("Choose old-2")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("1 jobs were asked to pause.")).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    expect(page).to_have_title("Compare 1 jobs – FitQueue")
