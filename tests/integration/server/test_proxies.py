"""What the API believes of a proxy, and what other processes of its user learn from it."""

from pathlib import Path

import psutil
import pytest

from tests.integration.server.conftest import Reply, Serve, Server, reply
from tests.waiting import until

PREFIXED = (
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: gpu.example.org",
    "X-Forwarded-Prefix: /fitqueue",
    "X-Forwarded-For: 203.0.113.7",
)
TRUSTED = "127.0.0.2"
UNTRUSTED = "127.0.0.1"


@pytest.fixture(scope="module")
def trusting_server(serve: Serve) -> Server:
    """A server that trusts one address of this machine, and not the one from which tests connect by default."""
    return serve(FITQUEUE_TRUSTED_PROXIES=f"{TRUSTED},10.0.0.0/8")


def answer_through(server: Server, address: str, line: str, *fields: str, token: bool = True) -> Reply:
    """Return the answer to a request, sent by a proxy at this address."""
    with server.send(server.head(line, "Connection: close", *fields, token=token), address) as sock:
        return reply(sock)


def logged_in(server: Server, address: str, *fields: str, origin: str = "http://localhost") -> Reply:
    """Return the answer that sets the cookie, sent through a proxy at this address."""
    body = f"token={server.token}"
    form = [
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        f"Origin: {origin}",
    ]
    head = server.head("POST /login", "Connection: close", *form, *fields, token=False)
    with server.send(head + body.encode(), address) as sock:
        return reply(sock)


@pytest.mark.parametrize(
    ("address", "fields", "is_secure"),
    [
        (TRUSTED, ["X-Forwarded-Proto: https"], True),
        (TRUSTED, ["X-Forwarded-Proto: http"], False),
        (TRUSTED, [], False),
        (UNTRUSTED, ["X-Forwarded-Proto: https"], False),
        (TRUSTED, ["X-Forwarded-Ssl: on"], False),
    ],
)
def test_a_cookie_is_secure_if_a_trusted_proxy_says_that_the_client_speaks_tls(
    trusting_server: Server, address: str, fields: list[str], is_secure: bool
) -> None:
    answer = logged_in(trusting_server, address, *fields)
    assert answer.status == 303
    assert ("Secure" in answer.headers["set-cookie"].split("; ")) is is_secure


def test_addresses_and_the_cookie_begin_with_the_prefix_of_a_trusted_proxy(trusting_server: Server) -> None:
    answer = logged_in(trusting_server, TRUSTED, *PREFIXED, origin="https://gpu.example.org")
    assert answer.headers["location"] == "/fitqueue/"
    assert "Path=/fitqueue" in answer.headers["set-cookie"].split("; ")
    page = answer_through(trusting_server, TRUSTED, "GET /docs", *PREFIXED)
    assert b'src="/fitqueue/docs/scalar.js"' in page.body
    assert b'data-url="/fitqueue/api/v1/openapi.json"' in page.body
    description = answer_through(trusting_server, TRUSTED, "GET /api/v1/openapi.json", *PREFIXED)
    assert b'"servers":[{"url":"/fitqueue"}]' in description.body.replace(b" ", b"")


@pytest.mark.parametrize(
    ("address", "prefix"), [(UNTRUSTED, "/fitqueue"), (TRUSTED, '/"><script>'), (TRUSTED, "//evil.example.org")]
)
def test_a_prefix_that_is_not_believed_changes_nothing(trusting_server: Server, address: str, prefix: str) -> None:
    field = f"X-Forwarded-Prefix: {prefix}"
    answer = logged_in(trusting_server, address, field)
    assert answer.headers["location"] == "/"
    assert "Path=/" in answer.headers["set-cookie"].split("; ")
    plain = answer_through(trusting_server, address, "GET /docs")
    assert answer_through(trusting_server, address, "GET /docs", field).body == plain.body
    description = answer_through(trusting_server, address, "GET /api/v1/openapi.json", field)
    assert b'"servers":[{"url":"/"}]' in description.body.replace(b" ", b"")


@pytest.mark.parametrize(("address", "client"), [(TRUSTED, "203.0.113.7"), (UNTRUSTED, UNTRUSTED)])
def test_the_log_has_the_client_and_not_the_trusted_proxy(trusting_server: Server, address: str, client: str) -> None:
    request_id = f"request-of-{client}"
    answer_through(trusting_server, address, "GET /api/v1/jobs", f"X-Request-Id: {request_id}", *PREFIXED)
    [line] = until(
        lambda: [line for line in trusting_server.log_lines() if line.get("request_id") == request_id], 30, "the line"
    )
    assert (line["client"], line["path"]) == (client, "/api/v1/jobs")


@pytest.mark.parametrize("field", ["Path-Info: /healthz", "Script-Name: /api"])
def test_not_even_a_trusted_proxy_may_change_the_path(trusting_server: Server, field: str) -> None:
    assert answer_through(trusting_server, TRUSTED, "GET /api/v1/jobs", field, token=False).status == 401


def test_a_trusted_proxy_may_have_the_connections_of_many_clients(trusting_server: Server) -> None:
    with trusting_server.sockets:
        ports = {trusting_server.connect(TRUSTED).getsockname()[1] for _ in range(200)}
        until(lambda: ports <= trusting_server.client_ports(), 60, "all connections are open")


def test_other_processes_find_no_secret_in_the_environment_of_the_api(serve: Serve) -> None:
    server = serve(FITQUEUE_REDIS_URL="redis://:password@127.0.0.1:1/0", AWS_SECRET_ACCESS_KEY="password")
    main = psutil.Process(server.process.pid)
    processes = [main, *main.children(recursive=True)]
    assert len(processes) >= 2, "gunicorn and its worker"
    for process in processes:
        environment = Path(f"/proc/{process.pid}/environ").read_text()
        assert "PATH=" in environment
        assert "password" not in environment
        assert "FITQUEUE" not in environment
