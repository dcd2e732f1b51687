"""What is believed of `X-Forwarded-…`, and of whom."""

from collections.abc import Iterable
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder, run_wsgi_app
from werkzeug.wrappers import Request, Response

from service.forwarding import MAX_PREFIX, ForwardedRequests, TrustedProxies

PROXIES = TrustedProxies(["127.0.0.1", "10.0.0.0/8", "fd00::/8"])

EVERYTHING = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "gpu.example.org:8443",
    "X-Forwarded-Prefix": "/fitqueue",
    "X-Forwarded-Port": "99",
}


def seen(peer: str, headers: dict[str, str]) -> Request:
    """Return the request that the application gets when this address sends these headers."""
    requests: list[Request] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        requests.append(Request(environ))
        return Response()(environ, start_response)

    builder = EnvironBuilder("/jobs", headers=headers, environ_base={"REMOTE_ADDR": peer})
    run_wsgi_app(ForwardedRequests(application, PROXIES), builder.get_environ())
    return requests[0]


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.9.8.7", "::ffff:10.9.8.7", "fd00::1"])
def test_a_request_through_a_trusted_proxy_is_as_the_client_sent_it(peer: str) -> None:
    request = seen(peer, EVERYTHING)
    assert request.url == "https://gpu.example.org:8443/fitqueue/jobs"
    assert (request.root_path, request.path, request.is_secure) == ("/fitqueue", "/jobs", True)
    assert request.remote_addr == "203.0.113.7"


@pytest.mark.parametrize("peer", ["127.0.0.2", "11.0.0.1", "::1", "::ffff:11.0.0.1", "fe80::1%eth0", ""])
def test_what_anybody_else_sends_changes_nothing(peer: str) -> None:
    told, plain = seen(peer, EVERYTHING), seen(peer, {})
    assert (told.url, told.root_path, told.remote_addr) == (plain.url, "", peer)
    assert told.access_route == [peer]
    assert not [name for name in told.environ if name.startswith("HTTP_X_FORWARDED")]


def test_a_proxy_that_says_nothing_changes_nothing() -> None:
    request = seen("127.0.0.1", {})
    assert (request.url, request.remote_addr) == ("http://localhost/jobs", "127.0.0.1")


def test_nobody_is_trusted_by_default() -> None:
    assert "127.0.0.1" not in TrustedProxies([])


@pytest.mark.parametrize(
    "prefix", ["/fitqueue", "/fitqueue/", "/ml/fit-queue_2.0~x", "/.x, /fitqueue", "/" + "a" * 127]
)
def test_a_prefix_is_a_path_of_safe_characters(prefix: str) -> None:
    expected = prefix.split(", ")[-1].removesuffix("/")
    assert seen("127.0.0.1", {"X-Forwarded-Prefix": prefix}).root_path == expected


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "/",
        "//",
        "//evil.example.org",
        "fitqueue",
        "https://evil.example.org",
        "/a//b",
        "/a/../b",
        "/..",
        "/.",
        '/"><script>alert(1)</script>',
        "/a;Path=/",
        "/a b",
        "/a\\b",
        "/a?b",
        "/a#b",
        "/%2e%2e",
        "/{{7*7}}",
        "/é",
        "/" + "a" * MAX_PREFIX,
        "/fitqueue, //evil.example.org",
    ],
)
def test_any_other_prefix_is_ignored(prefix: str) -> None:
    assert seen("127.0.0.1", {"X-Forwarded-Prefix": prefix}).root_path == ""


@pytest.mark.parametrize("scheme", ["javascript", "https://", "", "ftp", "http s", "https, wss"])
def test_a_scheme_that_is_not_of_http_is_ignored(scheme: str) -> None:
    assert seen("127.0.0.1", {"X-Forwarded-Proto": scheme}).scheme == "http"


@pytest.mark.parametrize(
    "host", ["a.example.org", "A-1.example.org:81", "[2001:db8::1]", "[2001:db8::1]:81", "x, 192.0.2.1:80"]
)
def test_a_host_is_a_name_or_an_address_with_or_without_a_port(host: str) -> None:
    assert seen("127.0.0.1", {"X-Forwarded-Host": host}).environ["HTTP_HOST"] == host.split(", ")[-1]


@pytest.mark.parametrize(
    "host", ["", "a b", "a/b", "user@host", "a:b", "a:123456", "[::1", 'a"><b', "ä", "a" * 256, "x,"]
)
def test_any_other_host_is_ignored(host: str) -> None:
    assert seen("127.0.0.1", {"X-Forwarded-Host": host}).host == "localhost"


@pytest.mark.parametrize(
    ("addresses", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("1.2.3.4, 203.0.113.7", "203.0.113.7"),  # the client made up the first one
        ("1.2.3.4, 203.0.113.7, 10.0.0.3,10.0.0.2", "203.0.113.7"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("nonsense, 10.0.0.2", "10.0.0.2"),
        ("203.0.113.7, nonsense", "127.0.0.1"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("<script>", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_not_a_proxy(addresses: str, client: str) -> None:
    assert seen("127.0.0.1", {"X-Forwarded-For": addresses}).remote_addr == client
