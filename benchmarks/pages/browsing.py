"""What a real browser measures: Chromium, driven by Playwright."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, Final
from urllib.parse import quote, urlsplit

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, sync_playwright

from benchmarks.comparison import measure_redraw_once
from benchmarks.pages.serving import API
from tools.installed_browser import find_browser

PATIENCE: Final = 300_000
"""Milliseconds that a page may take on a busy machine."""

# The moment at which all curves are drawn is that at which the page says so.
_NOTE_WHEN_DRAWN: Final = """
new MutationObserver(() => {
  for (const { name, value } of document.getElementById("curves")?.attributes ?? []) {
    (window.drawnAt ??= {})[`[${name}="${value}"]`] ??= performance.now();
  }
}).observe(document, { subtree: true, childList: true, attributes: true });
"""


@dataclass(frozen=True)
class Target:
    """A page to open."""

    path: str
    drawn: str | None = None
    """The attribute of the curves when all of them are drawn, as a selector of CSS; None if the page has no curves."""
    needs_login: bool = True


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start the browser that is installed."""
    path = find_browser()
    if path is None:
        raise SystemExit("No browser is installed; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        # Chromium refuses to run as root with its sandbox.
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=os.geteuid() != 0)
        try:
            yield browser
        finally:
            browser.close()


# --- Loading -------------------------------------------------------------------------------------------------------


def measure_loading(browser: Browser, api: API, targets: Mapping[str, Target], runs: int) -> dict[str, Any]:
    """Return the medians for each page, with an empty cache and on the second visit. The runs alternate."""
    loads: dict[str, dict[str, list[dict[str, float]]]] = {name: {"cold": [], "warm": []} for name in targets}
    for _ in range(runs):
        for name, target in targets.items():
            with _context(browser, api, logged_in=target.needs_login) as context:
                for cache in ("cold", "warm"):
                    loads[name][cache].append(_load(context, api, target))
    return {name: {cache: _medians(each) for cache, each in by_cache.items()} for name, by_cache in loads.items()}


def _medians(loads: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(load[name] for load in loads) for name in loads[0]}


@contextmanager
def _context(browser: Browser, api: API, *, logged_in: bool = True) -> Iterator[BrowserContext]:
    """Open windows of a browser with cookies and a cache of their own, which is empty."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE)
    context.add_init_script(_NOTE_WHEN_DRAWN)
    if logged_in:  # without a browser's window, which would fill the cache
        context.request.get(api.new_login_link(), max_redirects=0)
    try:
        yield context
    finally:
        context.close()


def _load(context: BrowserContext, api: API, target: Target) -> dict[str, float]:
    """Return the bytes that a visit takes, and the seconds until text is painted and curves are drawn."""
    page = context.new_page()
    received: list[float] = []
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    page.goto(api.url + target.path, wait_until="load" if target.drawn else "networkidle")
    figures = {}
    if target.drawn is not None:
        page.locator(f"#curves{target.drawn}").wait_for(state="attached")
        figures["drawn_seconds"] = page.evaluate("drawn => window.drawnAt[drawn]", target.drawn) / 1000
    figures["paint_seconds"] = _first_paint(page) / 1000
    figures["bytes"] = sum(received)
    page.close()
    return figures


def _first_paint(page: Page) -> float:
    """Return after how many milliseconds the first text was painted."""
    return float(
        page.evaluate(
            """() => new Promise((resolve) => new PerformanceObserver((list) => {
              for (const entry of list.getEntriesByName("first-contentful-paint")) resolve(entry.startTime);
            }).observe({ type: "paint", buffered: true }))"""
        )
    )


# --- Drawing again -------------------------------------------------------------------------------------------------


def measure_redraw(browser: Browser, api: API, target: Target, runs: int) -> dict[str, Any]:
    """Return the medians for one redraw of all charts of the page that compares, in seconds.

    `cpu_seconds` are those of the page's thread, for script, styles and layout. On a busy machine the clock says more.
    """
    with _context(browser, api) as context:
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(api.url + target.path)
        page.locator(f"#curves{target.drawn}").wait_for(state="attached")
        redraws = []
        for _ in range(runs):
            before = _thread_seconds(session)
            redraw = measure_redraw_once(page)
            redraws.append((redraw, _thread_seconds(session) - before))
    return {
        "cpu_seconds": median(cpu_seconds for _, cpu_seconds in redraws),
        "clock_seconds": median(redraw.seconds for redraw, _ in redraws),
        "charts": redraw.charts,
        "epochs": redraw.epochs,
    }


def _thread_seconds(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


# --- Requests ------------------------------------------------------------------------------------------------------


class Tabs:
    """Tabs of one window. Playwright's own pages count as visible whatever lies in front of them; these do not."""

    def __init__(self, browser: Browser) -> None:
        self._session = browser.new_browser_cdp_session()
        self._session.on("Target.receivedMessageFromTarget", self._receive)
        self._answers: dict[int, Any] = {}
        self._sent = 0

    def open(self, url: str) -> str:
        """Open a tab in front of the others, and return its id."""
        return str(self._session.send("Target.createTarget", {"url": url})["targetId"])

    def close(self, tab: str) -> None:
        self._session.send("Target.closeTarget", {"targetId": tab})

    def evaluate(self, tab: str, expression: str) -> Any:
        attached = self._session.send("Target.attachToTarget", {"targetId": tab, "flatten": False})["sessionId"]
        self._sent += 1
        parameters = {"expression": expression, "returnByValue": True}
        message = {"id": self._sent, "method": "Runtime.evaluate", "params": parameters}
        self._session.send("Target.sendMessageToTarget", {"sessionId": attached, "message": json.dumps(message)})
        self._wait(lambda: self._sent in self._answers)
        self._session.send("Target.detachFromTarget", {"sessionId": attached})
        return self._answers.pop(self._sent)["result"]["result"].get("value")

    def wait_until(self, tab: str, expression: str) -> None:
        self._wait(lambda: bool(self.evaluate(tab, expression)))

    def _wait(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE / 1000
        while not condition():
            if time.monotonic() > until:
                raise SystemExit("A tab does not answer, so there is nothing to measure.")
            time.sleep(0.05)
            self._session.send("Target.getTargets")  # to receive what has come meanwhile

    def _receive(self, event: Mapping[str, Any]) -> None:
        message = json.loads(event["message"])
        self._answers[message.get("id", 0)] = message


def measure_requests(browser: Browser, api: API, targets: Mapping[str, Target], seconds: float) -> dict[str, Any]:
    """Return the requests a minute of each page, while it is visible and while another tab hides it."""
    tabs = Tabs(browser)
    figures = {}
    for name, target in targets.items():
        tab = tabs.open(f"{api.new_login_link()}&next={quote(target.path)}")
        is_there = (
            f"document.readyState === 'complete' && location.pathname === {json.dumps(urlsplit(target.path).path)}"
        )
        tabs.wait_until(tab, is_there)
        if target.drawn is not None:
            tabs.wait_until(tab, f"document.querySelector('#curves{target.drawn}') !== null")
        visible = _requests_a_minute(api, seconds)
        other = tabs.open("about:blank")
        tabs.wait_until(tab, "document.hidden")
        time.sleep(1.0)  # a request that was on its way is answered
        hidden = _requests_a_minute(api, seconds)
        tabs.close(tab)
        tabs.close(other)
        figures[name] = {"visible": visible, "hidden": hidden}
    return figures


def _requests_a_minute(api: API, seconds: float) -> float:
    before, began = api.requests_answered(), time.monotonic()
    time.sleep(seconds)
    return 60 * (api.requests_answered() - before) / (time.monotonic() - began)


# --- Many pages ----------------------------------------------------------------------------------------------------


@contextmanager
def open_pages(browser: Browser, api: API, job_ids: list[str]) -> Iterator[list[Page]]:
    """Open the pages of these jobs, each in a window of its own, so that all of them are visible."""
    contexts, pages = [], []
    try:
        for job_id in job_ids:
            context = browser.new_context()
            contexts.append(context)
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            page.goto(f"{api.new_login_link()}&next=/jobs/{job_id}", wait_until="commit")
            pages.append(page)
        for page in pages:
            page.locator("#curves[data-drawn]").wait_for(state="attached")
        yield pages
    finally:
        for context in contexts:
            context.close()
