"""The page where a job is written."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

import fitqueue
from fitqueue.cli.text import size
from fitqueue.states import JobState
from service.server.shares import MAX_PER_TOKEN
from service.store import tokens
from tests.browser.accessibility import assert_accessible
from tests.browser.conftest import Look, OpenPage
from tests.browser.login import log_in
from tests.browser.problems import Problems
from tests.browser.serving import PreparedAPI, WholeService
from tests.small_job import small_job
from tests.waiting import ANSWER_SECONDS, until

TIMEOUT = 120.0
REFUSED = r"status of 422"
"""Chromium writes each answer that is an error to the console, and a check of a faulty job is one."""

FAULTY = {**small_job(3), "fit": {"epochs": -3, "epoch": 4, "batch_size": 64}}
DROP = """([name, text]) => {
    const files = new DataTransfer();
    files.items.add(new File([text], name, { type: "application/json" }));
    document.getElementById("job-text").dispatchEvent(
        new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
}"""
SELECTED = "(area) => area.value.slice(area.selectionStart, area.selectionEnd)"


def pretty(job: dict[str, Any]) -> str:
    return json.dumps(job, indent=2)


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def text_area(page: Page) -> Locator:
    return page.get_by_role("textbox", name="The job as JSON")


def outcome(page: Page) -> Locator:
    return page.locator("#check-state")


@pytest.fixture
def client(api: PreparedAPI) -> fitqueue.Client:
    return fitqueue.Client(api.url, api.token)


@pytest.fixture
def new_page(page: Page, api: PreparedAPI) -> Page:
    """The page of a new job, opened."""
    log_in(page, api.url, api.token)
    page.goto(f"{api.url}/new")
    return page


@pytest.fixture
def faulty_page(new_page: Page, problems: Problems) -> Page:
    """The page, with the faults of a job."""
    problems.allow(REFUSED)
    text_area(new_page).fill(pretty(FAULTY))
    expect(outcome(new_page)).to_contain_text("2 faults, in lines ")
    return new_page


def test_it_can_be_read_and_used_by_everybody(
    page_in_each_appearance: Page, api: PreparedAPI, problems: Problems, look: Look
) -> None:
    problems.allow(REFUSED)
    page = page_in_each_appearance
    log_in(page, api.url, api.token)
    page.goto(f"{api.url}/new?example=digits_cnn")
    expect(page.locator("#notices li")).not_to_have_count(0)
    assert_accessible(page)
    look(page, "new-job")
    text_area(page).fill(pretty(FAULTY))
    expect(page.locator("#faults li")).to_have_count(2)
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    look(page, "new-job-faulty")


def test_each_fault_is_listed_and_its_line_marked(faulty_page: Page) -> None:
    text = pretty(FAULTY)
    line = line_of(text, '"epochs": -3')
    expect(faulty_page.locator("#faults li").first).to_contain_text(f"Line {line}")
    expect(faulty_page.locator("#faults li").first).to_contain_text("/fit/epochs")
    expect(faulty_page.locator(".gutter .fault")).to_have_text([str(line), str(line + 1)])
    expect(outcome(faulty_page)).to_have_text(f"2 faults, in lines {line}, {line + 1}.")
    expect(text_area(faulty_page)).to_have_attribute("aria-invalid", "true")
    expect(faulty_page).to_have_title("2 × fault · New job – FitQueue")


@pytest.mark.parametrize("by", ["click", "Enter"])
def test_a_fault_leads_to_its_value(faulty_page: Page, by: str) -> None:
    button = faulty_page.get_by_role("button", name="/fit/epochs")
    button.click() if by == "click" else button.press("Enter")
    expect(text_area(faulty_page)).to_be_focused()
    assert text_area(faulty_page).evaluate(SELECTED) == "-3"


def test_an_unknown_field_leads_to_its_name(faulty_page: Page) -> None:
    faulty_page.get_by_role("button", name="Unknown field").click()
    assert text_area(faulty_page).evaluate(SELECTED) == '"epoch"'


def test_a_fault_far_down_is_scrolled_into_view(new_page: Page, problems: Problems) -> None:
    problems.allow(REFUSED)
    text_area(new_page).fill("\n" * 500 + pretty(FAULTY))
    text_area(new_page).evaluate("(area) => { area.scrollTop = 0; }")
    new_page.get_by_role("button", name="/fit/epochs").click()
    top = text_area(new_page).evaluate("(area) => area.scrollTop / parseFloat(getComputedStyle(area).lineHeight)")
    line = line_of("\n" * 500 + pretty(FAULTY), '"epochs": -3')
    assert line - 40 < top < line
    assert new_page.locator(".gutter").evaluate("(gutter) => gutter.scrollTop") == pytest.approx(
        text_area(new_page).evaluate("(area) => area.scrollTop"), abs=1
    )


def test_a_text_that_is_not_json_is_shown_with_its_place_and_not_sent(new_page: Page) -> None:
    sent: list[str] = []
    new_page.on("request", lambda request: sent.append(request.url) if "/api/" in request.url else None)
    text_area(new_page).fill('{\n  "name": "x",\n  "model" 3\n}')
    expect(outcome(new_page)).to_have_text("This is not JSON yet: line 3, column 11.")
    expect(new_page.locator("#faults li")).to_have_text("Line 3A colon is expected here.")
    expect(new_page.locator(".gutter .fault")).to_have_text("3")
    assert sent == []


def test_notices_are_listed_with_all_their_lines(new_page: Page, api: PreparedAPI) -> None:
    new_page.goto(f"{api.url}/new?example=digits_cnn")
    expect(outcome(new_page)).to_have_text("No fault. The service would accept this job.")
    new_page.get_by_role("button", name="/compile/optimizer/config/lr").click()
    assert text_area(new_page).evaluate(SELECTED) == "0.001"
    expect(new_page.locator(".gutter .notice").filter(has_text="13")).to_have_count(1)


def test_only_the_last_text_counts(new_page: Page, problems: Problems) -> None:
    problems.allow(REFUSED)
    text_area(new_page).fill(pretty(FAULTY))
    text_area(new_page).fill(pretty(small_job(3)))
    expect(outcome(new_page)).to_have_text("No fault. The service would accept this job.")
    expect(new_page.locator("#faults")).to_be_hidden()
    expect(new_page.locator(".gutter .fault")).to_have_count(0)


def test_tab_indents_and_escape_lets_it_leave(new_page: Page) -> None:
    area = text_area(new_page)
    area.press("Tab")
    area.press("x")
    area.press("Enter")
    expect(area).to_have_value("  x\n  ")
    area.press("ControlOrMeta+a")
    area.press("Tab")
    expect(area).to_have_value("    x\n    ")
    area.press("Shift+Tab")
    expect(area).to_have_value("  x\n  ")
    area.press("Escape")
    area.press("Tab")
    expect(area).not_to_be_focused()
    expect(area).to_have_value("  x\n  ")
    area.focus()
    area.press("Escape")
    area.press("Shift+Tab")
    expect(area).not_to_be_focused()
    expect(new_page.get_by_text("press Escape, then Tab")).to_be_visible()


def test_what_was_written_survives_a_reload(new_page: Page) -> None:
    text = pretty(small_job(5))
    text_area(new_page).fill(text)
    expect(new_page.locator("#kept")).to_have_text("Kept in this tab until it is submitted.")
    new_page.reload()
    expect(text_area(new_page)).to_have_value(text)
    expect(new_page.locator("#kept")).to_have_text("What you wrote before was restored.")
    new_page.get_by_role("button", name="Start again").click()
    expect(text_area(new_page)).to_have_value("")
    text_area(new_page).press("ControlOrMeta+z")
    expect(text_area(new_page)).to_have_value(text)


def test_a_lost_connection_is_said_and_waited_for(new_page: Page, problems: Problems) -> None:
    problems.allow("ERR_INTERNET_DISCONNECTED")
    new_page.context.set_offline(True)
    text_area(new_page).fill(pretty(small_job(5)))
    expect(outcome(new_page)).to_contain_text("The service does not answer. What you wrote stays here.")
    new_page.get_by_role("button", name="Submit").click()
    expect(outcome(new_page)).to_contain_text("it will not be submitted twice")
    new_page.context.set_offline(False)
    expect(outcome(new_page)).to_have_text("No fault. The service would accept this job.")


@contextmanager
def many_requests(page: Page, api: PreparedAPI) -> Iterator[None]:
    """Let as many requests of the page's browser wait as it may have."""
    with api.database.write() as session:
        other = fitqueue.Client(api.url, tokens.create(session, "other"))
    job = other.submit(small_job(9))
    address = urlsplit(api.url)
    cookies = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in page.context.cookies(api.url))
    request = f"GET /api/v1/jobs/{job.id}?wait=60 HTTP/1.1\r\nHost: {address.netloc}\r\nCookie: {cookies}\r\n\r\n"
    with ExitStack() as stack:

        def let_one_wait() -> None:
            connection = stack.enter_context(socket.create_connection((address.hostname, address.port)))
            connection.sendall(request.encode())

        def is_refused() -> bool:
            # The one before may have been refused, because the page or the last look took its place just then.
            let_one_wait()
            return _is_refused(api, cookies)

        for _ in range(MAX_PER_TOKEN - 1):
            let_one_wait()
        until(is_refused, TIMEOUT, "the next request is refused", pause=0.5)
        yield
        other.cancel(job.id)


def _is_refused(api: PreparedAPI, cookies: str) -> bool:
    url, headers = f"{api.url}/api/v1/jobs", {"Cookie": cookies}
    return httpx.get(url, headers=headers, trust_env=False, timeout=ANSWER_SECONDS).status_code == 429


def test_a_busy_service_is_said_and_waited_for(new_page: Page, api: PreparedAPI, problems: Problems) -> None:
    problems.allow("status of 429")
    text_area(new_page).fill(pretty(small_job(6)))
    expect(outcome(new_page)).to_have_text("No fault. The service would accept this job.")
    with many_requests(new_page, api):
        text_area(new_page).press("Space")
        expect(outcome(new_page)).to_contain_text("Checking again in")
    expect(outcome(new_page)).to_have_text("No fault. The service would accept this job.")


def test_a_double_click_submits_one_job_and_its_page_opens(
    new_page: Page, api: PreparedAPI, client: fitqueue.Client
) -> None:
    text_area(new_page).fill(pretty({**small_job(2), "name": "once"}))
    new_page.get_by_role("button", name="Submit").dblclick()
    new_page.wait_for_url(f"{api.url}/jobs/job_*")
    assert len([job for job in client.list() if job.name == "once"]) == 1
    new_page.goto(f"{api.url}/new")
    expect(text_area(new_page)).to_have_value("")


def test_a_job_that_is_refused_is_not_submitted(new_page: Page, api: PreparedAPI, problems: Problems) -> None:
    problems.allow(REFUSED)
    text_area(new_page).fill(pretty(FAULTY))
    new_page.get_by_role("button", name="Submit").click()
    expect(outcome(new_page)).to_contain_text("2 faults, in lines ")
    assert new_page.url == f"{api.url}/new"


def test_a_new_job_starts_from_another_one(page: Page, api: PreparedAPI, client: fitqueue.Client) -> None:
    hostile = "</textarea><script>alert(1)</script>"
    job = client.submit({**small_job(4), "name": hostile, "seed": 77})
    log_in(page, api.url, api.token)
    page.goto(f"{api.url}/jobs/{job.id}")
    page.get_by_role("link", name="New job from this").click()
    written = json.loads(text_area(page).input_value())
    assert (written["seed"], written["name"]) == (77, hostile)
    expect(outcome(page)).to_have_text("No fault. The service would accept this job.")


def test_a_new_job_starts_from_a_file(new_page: Page, problems: Problems, tmp_path: Path) -> None:
    problems.allow(REFUSED)
    text = pretty(small_job(11))
    path = tmp_path / "job.json"
    path.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    new_page.get_by_label("From a file").set_input_files(path)
    expect(text_area(new_page)).to_have_value(text)
    path.write_bytes(b"\xff\xfe")
    new_page.get_by_label("From a file").set_input_files(path)
    expect(new_page.get_by_text("job.json is not a text in UTF-8.")).to_be_visible()
    new_page.evaluate(DROP, ["dropped.json", "[1]"])
    expect(text_area(new_page)).to_have_value("[1]")
    expect(new_page.get_by_text("dropped.json was loaded.")).to_be_visible()
    expect(outcome(new_page)).to_contain_text("One fault")


def test_it_works_without_a_script(open_page: OpenPage, api: PreparedAPI, problems: Problems) -> None:
    problems.allow(REFUSED)
    page = open_page(java_script_enabled=False)
    page.goto(f"{api.url}/new?example=digits_dense")
    page.get_by_label("Token").fill(api.token)
    page.get_by_role("button", name="Log in").click()
    good = text_area(page).input_value()
    text_area(page).fill(good.replace('"epochs": 20', '"epochs": 0'))
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#faults li")).to_contain_text(["/fit/epochs"])
    expect(text_area(page)).to_have_value(good.replace('"epochs": 20', '"epochs": 0'))
    text_area(page).fill(good)
    page.get_by_role("button", name="Check").click()
    expect(outcome(page)).to_have_text("No fault. The service would accept this job.")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url(f"{api.url}/jobs/job_*")
    expect(page.get_by_role("heading", name="digits-dense")).to_be_visible()


def test_the_words_are_chinese_for_those_who_read_it(open_page: OpenPage, api: PreparedAPI) -> None:
    page = open_page(locale="zh-CN")
    log_in(page, api.url, api.token)
    page.goto(f"{api.url}/new?example=digits_dense")
    expect(outcome(page)).to_have_text("没有错误。服务会接受此作业。")


def test_an_empty_service_shows_what_to_type_and_runs_a_job_at_a_click(
    open_page: OpenPage, tmp_path: Path, look: Look
) -> None:
    with PreparedAPI(tmp_path) as api:
        page = open_page(permissions=["clipboard-read", "clipboard-write"])
        log_in(page, api.url, api.token)
        page.goto(api.url)
        assert_accessible(page)
        look(page, "first-visit")
        page.get_by_role("button", name="Copy").first.click()
        expect(page.get_by_text("Copied.")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert f"export FITQUEUE_URL={api.url}\nexport FITQUEUE_TOKEN='<your token>'\n" in copied
        page.get_by_role("button", name="Train the digits").click()
        page.wait_for_url(f"{api.url}/jobs/job_*")
        expect(page.get_by_role("heading", name="digits-dense")).to_be_visible()
        [job] = fitqueue.Client(api.url, api.token).list()
        assert job.state == JobState.QUEUED
        page.goto("about:blank")  # before the service ends, so that the page does not miss it


def test_the_model_is_shown_as_the_dry_run_tells_it_and_the_first_job_is_trained(
    page: Page, service: WholeService, look: Look
) -> None:
    client = service.client
    log_in(page, service.url, service.token)
    page.goto(f"{service.url}/new?example=digits_dense")
    model = client.submit(json.loads(text_area(page).input_value()), dry_run=True).model
    assert model is not None
    expect(page.locator("#model tbody tr")).to_have_count(len(model.layers))
    rows = page.locator("#model tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == [layer.name for layer in model.layers]
    expect(page.locator("#model p")).to_contain_text(f"{model.parameters:,} parameters")
    expect(page.locator("#model p")).to_contain_text(size(model.memory.total))
    look(page, "new-job-model")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url(f"{service.url}/jobs/job_*")
    assert client.wait(page.url.rpartition("/")[2]).state == JobState.SUCCEEDED
