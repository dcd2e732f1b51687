"""The page that describes the API."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Look
from tests.browser.login import log_in
from tests.browser.problems import Problems
from tests.browser.serving import PreparedAPI


def test_the_description_of_the_api_is_shown(
    page_in_each_appearance: Page, api: PreparedAPI, problems: Problems, look: Look
) -> None:
    # Scalar writes how long it took, warns of schemas that may be null, and tries whether it may use `eval`.
    problems.allow(r"^console\.(info|warning): .*/docs/scalar\.js:\d+\)$")
    problems.allow(r"^policy: script-src forbids eval at .*/docs/scalar\.js:\d+$")
    page = page_in_each_appearance
    log_in(page, api.url, api.token, "/docs")
    expect(page.get_by_role("heading", name="FitQueue", exact=True)).to_be_visible()
    look(page, "docs")
