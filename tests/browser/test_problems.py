"""What a page reports is noticed: otherwise the tests of pages could not fail."""

import pytest
from playwright.sync_api import Page, Route

from service.processes import free_port
from tests.browser.accessibility import assert_accessible
from tests.browser.appearance import APPEARANCES, Appearance
from tests.browser.conftest import OpenPage
from tests.browser.problems import Problems
from tests.waiting import until

ADDRESS = "http://fitqueue.test/"
POLICY = "default-src 'none'; script-src 'self'; connect-src *; img-src data:"
HEAD = '<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,">'
CLOSED_PORT = free_port(0)


def show(page: Page, body: str, script: str = "") -> None:
    """Let the page show this, under a policy as strict as ours."""

    def answer(route: Route) -> None:
        match route.request.url.removeprefix(ADDRESS):
            case "":
                html = f'{HEAD}<main><h1>A page</h1>{body}</main><script src="/script.js"></script>'
                headers = {"Content-Security-Policy": POLICY, "Content-Type": "text/html"}
                route.fulfill(headers=headers, body=html)
            case "script.js":
                route.fulfill(content_type="text/javascript", body=script)
            case "missing":
                route.fulfill(status=404)

    page.route(f"{ADDRESS}**", answer)
    page.goto(ADDRESS)


@pytest.mark.parametrize(
    ("script", "reported"),
    [
        ("console.debug('a message')", "console.debug: a message"),
        ("throw new RangeError('too far')", "exception: RangeError: too far"),
        ("Promise.reject(new Error('not handled'))", "exception: Error: not handled"),
        ("document.body.setAttribute('style', 'color: red')", "policy: style-src-attr forbids inline"),
        ("try { eval('1') } catch {}", "policy: script-src forbids eval"),
        ("fetch('http://127.0.0.1:CLOSED/x').catch(() => 0)", "failed request: GET http://127.0.0.1:CLOSED/x"),
        ("fetch('/missing')", "console.error: Failed to load resource: the server responded with a status of 404"),
    ],
)
def test_what_a_script_does_wrong_is_a_problem(page: Page, problems: Problems, script: str, reported: str) -> None:
    show(page, "", script.replace("CLOSED", str(CLOSED_PORT)))
    expected = reported.replace("CLOSED", str(CLOSED_PORT))

    def is_reported() -> bool:
        page.title()  # Playwright delivers what the browser reported while it waits for an answer
        return any(problem.startswith(expected) for problem in problems.unexpected)

    until(is_reported, 120, f"{expected!r} is reported")
    problems.allow("")


def test_a_request_of_a_page_that_is_left_is_not_a_problem(page: Page, problems: Problems) -> None:
    show(page, "", "fetch('/endless')")
    with page.expect_event("requestfailed"):
        page.goto("about:blank")
    assert problems.seen == []


def test_axe_names_the_fault_and_the_element(page: Page) -> None:
    show(page, '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">')
    with pytest.raises(AssertionError, match=r"image-alt \(critical\)[^$]*<img src="):
        assert_accessible(page)
    assert_accessible(page, "img")


def test_a_page_knows_its_appearance(open_page: OpenPage) -> None:
    assert [Appearance.of(open_page(appearance)) for appearance in APPEARANCES] == list(APPEARANCES)
