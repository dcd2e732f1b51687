"""Pages in a real browser, which must report nothing, and the services that serve them.

Playwright drives the browser that is installed. Use `expect(locator)` to wait: `page.wait_for_function` needs `eval`,
which the policy of the pages forbids.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.appearance import APPEARANCES, Appearance
from tests.browser.problems import Problems
from tests.browser.serving import PreparedAPI, WholeService
from tools.installed_browser import find_browser

PATIENCE = 120_000
"""Milliseconds for what a page does at once on an idle machine."""

NO_BROWSER = "no browser is installed; on Debian: apt-get install chromium fonts-wqy-microhei"

Look = Callable[[Page, str], Path]
OpenPage = Callable[..., Page]

expect.set_options(timeout=PATIENCE)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Skip the tests of this folder if no browser is installed. In CI there must be one."""
    # A fixture that skips would make a line of each test; this hook makes one line of all.
    if "CI" not in os.environ and find_browser() is None:
        pytest.skip(NO_BROWSER)


# Not for the session: as long as Playwright runs, asyncio has a running loop, and other tests cannot start theirs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        raise FileNotFoundError(NO_BROWSER)
    with sync_playwright() as playwright:
        # Chromium refuses to run as root with its sandbox, and CI runs as root.
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=os.geteuid() != 0)
        yield browser
        browser.close()


@pytest.fixture
def problems() -> Iterator[Problems]:
    """What the pages of a test reported. The test fails at its end unless it allowed all of it."""
    problems = Problems()
    yield problems
    assert not problems.unexpected, "\n".join(["the browser reported:", *problems.unexpected])


@pytest.fixture
def open_page(browser: Browser, problems: Problems) -> Iterator[OpenPage]:
    """A function that opens an empty page, as the first of a browser with cookies of its own.

    Its argument is an `Appearance`. Further keyword arguments are those of Playwright's `new_context`.
    """
    with ExitStack() as contexts:

        def open_page(appearance: Appearance = APPEARANCES[-1], **options: object) -> Page:
            context = browser.new_context(**appearance.context_options, **options)
            contexts.callback(_close, context)
            context.set_default_timeout(PATIENCE)
            problems.collect_from(context)
            return context.new_page()

        yield open_page


def _close(context: BrowserContext) -> None:
    """Close the context after the browser has delivered all that its pages reported."""
    for page in context.pages:
        page.title()
    context.close()


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """An empty page, light and 1,280 pixels wide."""
    return open_page()


@pytest.fixture(params=APPEARANCES, ids=str)
def page_in_each_appearance(request: pytest.FixtureRequest, open_page: OpenPage) -> Page:
    """An empty page, at 360 and 1,280 pixels, dark and light: the test runs four times."""
    return open_page(request.param)


@pytest.fixture(scope="session")
def _screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("FITQUEUE_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def look(_screenshots: Path) -> Look:
    """A function that writes a screenshot of the whole page under a name, and returns its path."""

    def look(page: Page, name: str) -> Path:
        path = _screenshots / f"{name}-{Appearance.of(page)}.png"
        page.screenshot(path=path, full_page=True, animations="disabled")
        return path

    return look


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeService]:
    """The whole service: the API with its model checker, Redis and a worker.

    It takes a minute of processor time to start. Tests that use it belong into one file, or each process of
    pytest-xdist starts its own.
    """
    with WholeService(tmp_path_factory.mktemp("var"), port=0) as service:
        yield service


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PreparedAPI]:
    """Only the API, for pages of rows that a test stores: no worker, no Redis, no model checker.

    The tests of one file share it, and its database.
    """
    with PreparedAPI(tmp_path_factory.mktemp("api")) as api:
        yield api
