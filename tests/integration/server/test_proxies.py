"""What the API believes of a proxy, and what other processes of its user learn from it."""

from pathlib import Path

import psutil
import pytest

from tests.integration.server.conftest import Reply, Serve, Server, reply


@pytest.fixture(scope="module")
def trusting_server(serve: Serve) -> Server:
    """A server that trusts one address of this machine, and not the one from which tests connect by default."""
    return serve(FITQUEUE_TRUSTED_PROXIES="127.0.0.2,10.0.0.0/8")


def logged_in(server: Server, address: str, *fields: str) -> Reply:
    """Return the answer that sets the cookie, sent through a proxy at this address."""
    body = f"token={server.token}"
    form = [
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        "Origin: http://localhost",
    ]
    head = server.head("POST /login", "Connection: close", *form, *fields, token=False)
    with server.send(head + body.encode(), address) as sock:
        return reply(sock)


@pytest.mark.parametrize(
    ("address", "fields", "is_secure"),
    [
        ("127.0.0.2", ["X-Forwarded-Proto: https"], True),
        ("127.0.0.2", ["X-Forwarded-Proto: http"], False),
        ("127.0.0.2", [], False),
        ("127.0.0.1", ["X-Forwarded-Proto: https"], False),
        ("127.0.0.2", ["X-Forwarded-Ssl: on"], False),
    ],
)
def test_a_cookie_is_secure_if_a_trusted_proxy_says_that_the_client_speaks_tls(
    trusting_server: Server, address: str, fields: list[str], is_secure: bool
) -> None:
    answer = logged_in(trusting_server, address, *fields)
    assert answer.status == 303
    assert ("Secure" in answer.headers["set-cookie"].split("; ")) is is_secure


@pytest.mark.parametrize("field", ["Path-Info: /healthz", "Script-Name: /api"])
def test_not_even_a_trusted_proxy_may_change_the_path(trusting_server: Server, field: str) -> None:
    head = trusting_server.head("GET /api/v1/jobs", "Connection: close", field, token=False)
    with trusting_server.send(head, "127.0.0.2") as sock:
        assert reply(sock).status == 401


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
