"""The service behind nginx and Caddy, with the documented configurations, at the root of a host and below a path."""

import hashlib
import html
import io
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import certifi
import httpx
import numpy as np
import pytest

from fitqueue.client import Client
from fitqueue.states import JobState
from service.db import Database
from tests.integration.client.conftest import Served, SimulatedWorker
from tests.integration.server.conftest import Serve, Server
from tests.integration.server.real_proxies import (
    Certificate,
    Proxy,
    make_certificate,
    missing_packages,
    private_proxy,
    running_proxy,
)
from tests.small_job import small_job
from tests.storages import new_storage
from tests.waiting import ANSWER_SECONDS, until

if "CI" not in os.environ and (packages := missing_packages()):
    pytest.skip(f"on Debian: apt-get install {' '.join(packages)}", allow_module_level=True)

# A path would end, or be decoded twice, at one of these if a proxy did not pass it on as it came.
NAME = "ep 1%41?#é&+.weights.h5"


@pytest.fixture(scope="module")
def api(serve: Serve) -> Server:
    return serve(FITQUEUE_TRUSTED_PROXIES="127.0.0.1", FITQUEUE_MAX_DATASET_BYTES=str(64 * 1024**2))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module", params=[(name, prefix) for name in ("nginx", "caddy") for prefix in ("", "/fitqueue")])
def proxy(
    request: pytest.FixtureRequest, api: Server, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    program, prefix = request.param
    with running_proxy(program, prefix, api.port, certificate, tmp_path_factory.mktemp(program)) as proxy:
        yield proxy


@pytest.fixture
def http(proxy: Proxy, api: Server, certificate: Certificate) -> Iterator[httpx.Client]:
    """A client that knows of no prefix."""
    context = ssl.create_default_context(cafile=str(certificate.file))
    headers = {"Authorization": f"Bearer {api.token}"}
    base = proxy.url.removesuffix(proxy.prefix)
    with httpx.Client(base_url=base, headers=headers, verify=context, trust_env=False, timeout=ANSWER_SECONDS) as http:
        yield http


@pytest.fixture
def client(proxy: Proxy, api: Server, certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """The public client, which trusts the certificate."""
    monkeypatch.setattr(certifi, "where", lambda: str(certificate.file))
    with Client(proxy.url, api.token) as client:
        yield client


@pytest.fixture
def worker(api: Server) -> Iterator[Callable[[], SimulatedWorker]]:
    """A function that claims the next job."""
    folder = api.log.parent
    with closing(Database(f"sqlite:///{folder}/fitqueue.db")) as database:
        storage = new_storage(folder / "storage")
        yield Served(f"http://127.0.0.1:{api.port}", api.token, database, storage, folder).claim


API = "/api/v1"
BYTES = {"Content-Type": "application/octet-stream"}


def test_a_job_is_submitted_and_followed(
    http: httpx.Client, proxy: Proxy, worker: Callable[[], SimulatedWorker]
) -> None:
    submitted = http.post(f"{proxy.prefix}{API}/jobs", json=small_job(3))
    assert submitted.status_code == 201
    address = submitted.headers["Location"]
    assert address == f"{proxy.prefix}{API}/jobs/{submitted.json()['id']}"
    etag = http.get(address).headers["ETag"]
    with ThreadPoolExecutor(1) as pool:
        polled = pool.submit(http.get, address, params={"wait": 60}, headers={"If-None-Match": etag})
        attempt = worker()
        assert polled.result().json()["state"] == "running"
    with http.stream("GET", f"{address}/events", params={"follow": "true"}) as stream:
        lines = stream.iter_lines()
        assert _next_event(lines) == "submitted"
        assert _next_event(lines) == "claimed"
        for epoch in (1, 2, 3):
            attempt.epoch(epoch, 0.5)
            assert _next_event(lines) == "epoch_ended", "it comes before the stream ends"
        attempt.finish()
        assert _next_event(lines) == "succeeded"
        assert not [line for line in lines if line.startswith("event:")]


def test_files_are_downloaded_by_their_href(
    http: httpx.Client, proxy: Proxy, worker: Callable[[], SimulatedWorker]
) -> None:
    address = http.post(f"{proxy.prefix}{API}/jobs", json=small_job(1)).headers["Location"]
    attempt = worker()
    attempt.epoch(1, 0.5)
    attempt.checkpoint(["best", NAME], 1, b"weights" * 100_000)
    attempt.artifact(NAME, b"table")
    attempt.finish()
    for kind, content in (("checkpoints", b"weights" * 100_000), ("artifacts", b"table")):
        rows = {row["name"]: row for row in http.get(f"{address}/{kind}").json()["data"]}
        assert NAME in rows
        for row in rows.values():
            assert row["href"].startswith(f"{proxy.prefix}{API}/jobs/")
            answer = http.get(row["href"])
            assert (answer.content, answer.headers["ETag"]) == (content, f'"{row["sha256"]}"')
            part = http.get(row["href"], headers={"Range": "bytes=1-3"})
            assert (part.status_code, part.content) == (206, content[1:4])


def test_the_client_takes_the_address_with_its_path(
    client: Client, worker: Callable[[], SimulatedWorker], tmp_path: Path
) -> None:
    job = client.submit(small_job(1))
    attempt = worker()
    attempt.epoch(1, 0.5)
    attempt.checkpoint(["best", NAME], 1, b"weights" * 100_000)
    attempt.artifact(NAME, b"table")
    attempt.log("a line")
    attempt.finish()
    assert client.wait(job.id).state is JobState.SUCCEEDED
    assert job.id in [listed.id for listed in client.list()]
    assert [event.kind for event in client.events(job.id, follow=True)][-1] == "succeeded"
    assert [line.text for line in client.logs(job.id, follow=True)] == ["a line"]
    assert len(client.metrics(job.id)) == 1
    client.download(job.id, NAME, tmp_path / "weights")
    assert (tmp_path / "weights").read_bytes() == b"weights" * 100_000
    npz = tmp_path / "x.npz"
    np.savez(npz, x=np.random.default_rng().random(1024**2))
    assert client.upload(npz).size == npz.stat().st_size
    client.download_artifact(job.id, NAME, tmp_path / "table")
    assert (tmp_path / "table").read_bytes() == b"table"
    client.delete(job.id)


def test_a_data_set_reaches_the_service_while_it_is_sent(http: httpx.Client, proxy: Proxy, api: Server) -> None:
    file = io.BytesIO()
    np.savez(file, x=np.random.default_rng().random(2 * 1024**2))
    npz, half = file.getvalue(), file.tell() // 2

    def chunks() -> Iterator[bytes]:
        yield npz[:half]
        until(lambda: any(api.log.parent.glob("storage/incoming/*")), ANSWER_SECONDS, "the service reads the body")
        yield npz[half:]

    address = f"{proxy.prefix}{API}/datasets"
    answer = http.post(address, content=chunks(), headers=BYTES)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{address}/{answer.json()['id']}"
    assert http.get(answer.headers["Location"]).json()["sha256"] == hashlib.sha256(npz).hexdigest()


def test_the_answer_to_a_body_that_is_refused_arrives(http: httpx.Client, proxy: Proxy) -> None:
    address = f"{proxy.prefix}{API}/datasets"
    stranger = http.post(address, content=bytes(16 * 1024**2), headers={**BYTES, "Authorization": "Bearer no"})
    assert (stranger.status_code, stranger.json()["code"]) == (401, "unauthenticated")
    too_large = http.post(address, content=bytes(65 * 1024**2), headers=BYTES)
    assert (too_large.status_code, too_large.json()["code"]) == (413, "body_too_large")


def test_pages_and_redirects_stay_below_the_prefix(
    http: httpx.Client, proxy: Proxy, api: Server, worker: Callable[[], SimulatedWorker]
) -> None:
    job = http.post(f"{proxy.prefix}{API}/jobs", json=small_job(1)).json()["id"]
    attempt = worker()
    attempt.epoch(1, 0.5)
    attempt.checkpoint(["best", NAME], 1, b"weights")
    attempt.artifact(NAME, b"table")
    attempt.finish()
    del http.headers["Authorization"]
    if proxy.prefix:
        assert _path_of(http.get(proxy.prefix)) == f"{proxy.prefix}/"
    refused = http.get(f"{proxy.prefix}/jobs/{job}", headers={"Accept": "text/html"})
    assert _path_of(refused) == f"{proxy.prefix}/login"
    assert _addresses_in(http.get(_path_of(refused)).text) >= {f"{proxy.prefix}/login"}
    login = _log_in(http, proxy, api)
    assert _path_of(login) == f"{proxy.prefix}/"
    assert {"Secure", f"Path={proxy.prefix or '/'}"} <= set(login.headers["Set-Cookie"].split("; "))
    for path in ("/", f"/jobs/{job}", "/docs"):
        page = http.get(f"{proxy.prefix}{path}")
        assert page.status_code == 200
        for address in _addresses_in(page.text):
            assert address.startswith(f"{proxy.prefix}/"), path
            answer = http.get(address)
            if answer.status_code == 303:
                assert _path_of(answer).startswith(f"{proxy.prefix}/"), address
                answer = http.get(_path_of(answer))
            assert answer.status_code == (405 if address.endswith("/logout") else 200), address
    files = _addresses_in(http.get(f"{proxy.prefix}/jobs/{job}").text)
    assert {f"{proxy.prefix}{API}/jobs/{job}/{kind}/{quote(NAME)}" for kind in ("checkpoints", "artifacts")} <= files
    [server] = http.get(f"{proxy.prefix}{API}/openapi.json").json()["servers"]
    assert http.get(f"{server['url'].rstrip('/')}{API}/jobs").status_code == 200


def test_a_link_that_logs_in_leads_through_the_proxy(http: httpx.Client, proxy: Proxy, client: Client) -> None:
    del http.headers["Authorization"]
    link = client.login_link()
    assert link.startswith(f"{proxy.url}/login?link=")
    assert _path_of(http.get(link)) == f"{proxy.prefix}/"
    assert http.get(f"{proxy.prefix}/").status_code == 200


def test_what_the_client_itself_says_in_these_fields_is_not_believed(
    proxy: Proxy, api: Server, certificate: Certificate
) -> None:
    context = ssl.create_default_context(cafile=str(certificate.file))
    # From another address of this machine, since the API trusts this one.
    transport = httpx.HTTPTransport(verify=context, local_address="127.0.0.3", trust_env=False)
    request_id = f"claims-{proxy.url.replace('/', '.').replace(':', '.')}"
    claims = {
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example.org",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-For": "203.0.113.7",
        "X-Request-Id": request_id,
    }
    base = proxy.url.removesuffix(proxy.prefix)
    with httpx.Client(base_url=base, transport=transport, headers=claims, timeout=ANSWER_SECONDS) as http:
        login = _log_in(http, proxy, api)
    assert login.headers["Location"] == f"{proxy.prefix}/"
    assert "Secure" in login.headers["Set-Cookie"].split("; ")
    [line] = until(lambda: [line for line in api.log_lines() if line.get("request_id") == request_id], 120, "the line")
    assert line["client"] == "127.0.0.3"


@pytest.mark.parametrize("program", ["nginx", "caddy"])
def test_a_certificate_of_ones_own_is_trusted_by_the_client_that_is_told_of_it(
    api: Server, program: str, tmp_path: Path
) -> None:
    host = socket.gethostname()  # with a name that stands for this machine alone, the client would look at no variable
    with private_proxy(program, api.port, tmp_path, host) as (url, certificate):
        until(certificate.exists, 60, "the certificate is there")
        refused = _run_client("jobs", FITQUEUE_URL=url, FITQUEUE_TOKEN=api.token)
        assert (refused.returncode, "CERTIFICATE_VERIFY_FAILED" in refused.stderr) == (4, True)
        trusting = {"FITQUEUE_URL": url, "FITQUEUE_TOKEN": api.token, "SSL_CERT_FILE": str(certificate)}
        listed = _run_client("jobs", **trusting)
        assert (listed.returncode, listed.stderr) == (0, "")


def _run_client(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    program = "import sys; from fitqueue.cli import main; sys.exit(main())"
    environment = {**os.environ, "NO_PROXY": "*", **variables}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS)


def _log_in(http: httpx.Client, proxy: Proxy, api: Server) -> httpx.Response:
    origin = {"Origin": proxy.url.removesuffix(proxy.prefix)}
    return http.post(f"{proxy.prefix}/login", data={"token": api.token}, headers=origin)


def _addresses_in(page: str) -> set[str]:
    """Return all addresses of a page, other than those of its own parts and those that are data."""
    found = re.findall(r'\s(?:data-url|src|href|action)="([^"]+)"', page)
    return {html.unescape(address) for address in found if not address.startswith(("#", "data:"))}


def _path_of(redirect: httpx.Response) -> str:
    """Return where an answer leads to, on the same host."""
    assert redirect.is_redirect, redirect.status_code
    url = redirect.url.join(redirect.headers["Location"])
    assert (url.scheme, url.host, url.port) == (redirect.url.scheme, redirect.url.host, redirect.url.port)
    return url.path


def _next_event(lines: Iterator[str]) -> str:
    return next(line for line in lines if line.startswith("event: ")).removeprefix("event: ")
