"""The service behind nginx and Caddy, with the documented configurations, at the root of a host and below a path."""

import hashlib
import io
import re
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import certifi
import httpx
import numpy as np
import pytest

from fitqueue.client import Client
from fitqueue.states import JobState
from service.db import Database
from tests.integration.client.conftest import Served, SimulatedWorker
from tests.integration.server.conftest import PATIENCE, Serve, Server
from tests.integration.server.real_proxies import Certificate, Proxy, make_certificate, running_proxy
from tests.small_job import small_job
from tests.storages import new_storage
from tests.waiting import until

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
    with httpx.Client(base_url=base, headers=headers, verify=context, trust_env=False, timeout=PATIENCE) as http:
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
        yield Served(f"http://127.0.0.1:{api.port}", api.token, database, storage).claim


API = "/api/v1"


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
    client.download_artifact(job.id, NAME, tmp_path / "table")
    assert (tmp_path / "table").read_bytes() == b"table"
    client.delete(job.id)


def test_a_data_set_is_streamed_and_what_is_refused_is_answered(
    http: httpx.Client, proxy: Proxy, client: Client, tmp_path: Path
) -> None:
    address = f"{proxy.prefix}{API}/datasets"
    file = tmp_path / "x.npz"
    np.savez(file, x=np.random.default_rng(7).random(2 * 1024**2))
    assert client.upload(file).size == file.stat().st_size > 16_000_000
    content = io.BytesIO(file.read_bytes())
    again = http.post(address, content=content, headers={"Content-Type": "application/octet-stream"})
    assert again.headers["Location"].startswith(f"{address}/ds_")
    assert http.get(again.headers["Location"]).json()["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    strange = {"Authorization": "Bearer no"}
    assert http.post(address, content=file.read_bytes(), headers=strange).status_code == 401
    too_large = http.post(address, content=bytes(65 * 1024**2), headers={"Content-Type": "application/octet-stream"})
    assert (too_large.status_code, too_large.json()["code"]) == (413, "body_too_large")


def test_pages_and_redirects_stay_below_the_prefix(http: httpx.Client, proxy: Proxy, api: Server) -> None:
    del http.headers["Authorization"]
    login = http.get(f"{proxy.prefix}/docs", params={"token": api.token})
    assert _path_of(login) == f"{proxy.prefix}/docs"
    attributes = login.headers["Set-Cookie"].split("; ")
    assert {"Secure", f"Path={proxy.prefix or '/'}"} <= set(attributes)
    page = http.get(_path_of(login))
    assert page.status_code == 200
    [description, script] = re.findall(r'(?:data-url|src)="([^"]+)"', page.text)
    assert http.get(script).headers["Content-Type"].startswith("text/javascript")
    [server] = http.get(description).json()["servers"]
    assert http.get(f"{server['url'].rstrip('/')}{API}/jobs").status_code == 200
    assert _path_of(http.get(f"{proxy.prefix}/")) == f"{proxy.prefix}/docs"
    if proxy.prefix:
        assert _path_of(http.get(proxy.prefix)) == f"{proxy.prefix}/"


def test_what_the_client_itself_says_in_these_fields_is_not_believed(
    proxy: Proxy, api: Server, certificate: Certificate
) -> None:
    context = ssl.create_default_context(cafile=str(certificate.file))
    # From another address of this machine, since the API trusts this one.
    transport = httpx.HTTPTransport(verify=context, local_address="127.0.0.3", trust_env=False)
    claims = {
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example.org",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-For": "203.0.113.7",
        "X-Request-Id": f"claims-{proxy.url.replace('/', '.').replace(':', '.')}",
    }
    with httpx.Client(transport=transport, headers=claims, timeout=PATIENCE) as http:
        login = http.get(f"{proxy.url}/docs", params={"token": api.token})
    assert login.headers["Location"] == f"{proxy.prefix}/docs"
    assert "Secure" in login.headers["Set-Cookie"].split("; ")
    request_id = claims["X-Request-Id"]
    [line] = until(lambda: [line for line in api.log_lines() if line.get("request_id") == request_id], 30, "the line")
    assert line["client"] == "127.0.0.3"


def _path_of(redirect: httpx.Response) -> str:
    """Return where an answer leads to, on the same host."""
    assert redirect.is_redirect, redirect.status_code
    url = redirect.url.join(redirect.headers["Location"])
    assert (url.scheme, url.host, url.port) == (redirect.url.scheme, redirect.url.host, redirect.url.port)
    return url.path


def _next_event(lines: Iterator[str]) -> str:
    return next(line for line in lines if line.startswith("event: ")).removeprefix("event: ")
