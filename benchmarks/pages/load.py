"""What open pages of running jobs cost the API."""

import gzip
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import psutil
from playwright.sync_api import Browser

from benchmarks.api import serving_processes
from benchmarks.pages.browsing import open_pages
from benchmarks.pages.rows import started_jobs
from benchmarks.pages.serving import API
from service.processes import end

PAGES: Final = 30
TRAINED: Final = 50
"""Epochs that each job has before its page is opened."""

NEWS_SECONDS: Final = 1.0
FILES_SECONDS: Final = 10.0
"""As `service/pages/static/job.js` has them."""

WARM_UP_SECONDS: Final = 12.0
"""Longer than a page waits before it asks for the list of files again."""


@contextmanager
def training_jobs(api: API, count: int) -> Iterator[Sequence[str]]:
    """Let another process write the progress and the epochs of so many jobs; yield their ids."""
    ids = [lease.job_id for lease in started_jobs(api.database, count, TRAINED)]
    command = [sys.executable, "-m", "benchmarks.pages.training", api.database_url, str(TRAINED), *ids]
    process = subprocess.Popen(command)
    try:
        yield ids
        if process.poll() is not None:
            raise SystemExit("The process that writes the progress of jobs has ended, so there is nothing to measure.")
    finally:
        end(process, 10.0)


class PageClient(threading.Thread):
    """Sends the requests of one open page of a job, at the times at which `job.js` sends them."""

    def __init__(self, api: API, job_id: str, cookie: str, ended: threading.Event) -> None:
        super().__init__(daemon=True)
        address = urlsplit(api.url)
        self._http = HTTPConnection(address.hostname or "", address.port)
        self._headers = {"Cookie": cookie, "Accept-Encoding": "gzip, deflate", "Accept-Language": "en-US,en;q=0.9"}
        self._job_id, self._ended = job_id, ended
        self._etag = ""
        self._known = {"epoch": 0, "epoch_attempt": 0, "point": 0, "point_attempt": 0, "event": 0, "line": 0}
        self._files: object = None
        self._refreshed_at = time.monotonic()
        self.requests: Counter[str] = Counter()
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._ended.wait(NEWS_SECONDS * random.uniform(0.95, 1.05)):
                self._ask()
        except BaseException as error:
            self.fault = error

    def _ask(self) -> None:
        headers = {"Accept": "application/json", **({"If-None-Match": self._etag} if self._etag else {})}
        answer, body = self._get(f"/api/v1/jobs/{self._job_id}/news?{urlencode(self._known)}", headers)
        self.requests["news"] += 1
        if answer.status == 304:
            return
        self._etag = answer.headers["ETag"]
        news = json.loads(body)
        self._take(news)
        job = news["job"]
        files = (job["best"], job["progress"]["epoch"], self._known["event"])
        if self._files is None:
            self._files = files
        elif files != self._files and time.monotonic() - self._refreshed_at > FILES_SECONDS:
            self._files, self._refreshed_at = files, time.monotonic()
            self._get(f"/jobs/{self._job_id}?only=parts", {"Accept": "text/html"})
            self.requests["parts"] += 1

    def _take(self, news: dict[str, Any]) -> None:
        if news["epochs"]:
            self._known |= {"epoch": news["epochs"][-1]["epoch"], "epoch_attempt": news["epochs"][-1]["attempt"]}
        for name, rows in (("event", news["events"]), ("line", news["lines"])):
            if rows:
                self._known[name] = rows[-1]["id"]

    def _get(self, path: str, headers: dict[str, str]) -> tuple[HTTPResponse, bytes]:
        self._http.request("GET", path, headers=self._headers | headers)
        answer = self._http.getresponse()
        body = answer.read()
        if answer.status not in (200, 304):
            raise SystemExit(f"{path} was answered with {answer.status}, so there is nothing to measure.")
        return answer, gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body


def measure_clients(api: API, seconds: float, pages: int = PAGES) -> dict[str, Any]:
    """Return what clients cost that send what pages send, each with a login session of its own."""
    with training_jobs(api, pages) as ids:
        ended = threading.Event()
        clients = [PageClient(api, job_id, log_in(api), ended) for job_id in ids]
        for client in clients:
            client.start()
        try:
            time.sleep(WARM_UP_SECONDS)
            before = sum((client.requests for client in clients), Counter())
            cost = measure_cost(api, seconds)
            sent = sum((client.requests for client in clients), Counter()) - before
        finally:
            ended.set()
            for client in clients:
                client.join(60)
    for client in clients:
        if client.fault is not None:
            raise SystemExit(f"A client failed, so there is nothing to measure: {client.fault!r}")
    return cost | {"requests_a_second": {kind: count / cost["seconds"] for kind, count in sent.items()}}


def measure_tabs(browser: Browser, api: API, seconds: float, pages: int = PAGES) -> dict[str, Any]:
    """Return what real pages cost, all of them visible."""
    with training_jobs(api, pages) as ids, open_pages(browser, api, list(ids)):
        time.sleep(WARM_UP_SECONDS)
        before = api.requests_answered()
        cost = measure_cost(api, seconds)
        answered = api.requests_answered() - before
    return cost | {"requests_a_second": {"all": answered / cost["seconds"]}}


def measure_cost(api: API, seconds: float) -> dict[str, Any]:
    """Return the CPU seconds of the API and of the database's server in a second of this time."""
    servers = serving_processes(api.database)
    began, api_before, servers_before = time.monotonic(), api.cpu_seconds(), _cpu_seconds(servers)
    time.sleep(seconds)
    passed = time.monotonic() - began
    return {
        "seconds": passed,
        "api_cpu": (api.cpu_seconds() - api_before) / passed,
        "database_cpu": (_cpu_seconds(servers) - servers_before) / passed,
    }


def _cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes if process.is_running())


def log_in(api: API) -> str:
    """Log in by a link, as a browser does; return the cookie."""
    address = urlsplit(api.new_login_link())
    http = HTTPConnection(address.hostname or "", address.port)
    http.request("GET", f"{address.path}?{address.query}")
    answer = http.getresponse()
    answer.read()
    http.close()
    return str(answer.headers["Set-Cookie"]).partition(";")[0]
