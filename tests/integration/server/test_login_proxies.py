"""A login proxy in front of a real server: nginx as documented, and clients that pretend to be one."""

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from fitqueue.roles import Role
from service.db import Database
from service.store import users
from tests.integration.server.conftest import Serve, Server
from tests.integration.server.real_proxies import Proxy, find_program, make_certificate, running_proxy
from tests.unit.docs.pages import section, text_of
from tests.waiting import ANSWER_SECONDS

if "CI" not in os.environ and find_program("nginx") is None:
    pytest.skip("on Debian: apt-get install nginx-light", allow_module_level=True)

ME = "/api/v1/me"
STRANGER = "127.0.0.2"
"""An address of this machine that is not the proxy's."""

BEFORE, AFTER = "limit_conn_zone $binary_remote_addr", 'proxy_set_header X-Forwarded-Prefix "";'
"""Where the documented lines go."""


@pytest.fixture(scope="module")
def api(serve: Serve) -> Server:
    """A server that believes a proxy on 127.0.0.1, with the user ada."""
    trusted = {"FITQUEUE_TRUSTED_PROXIES": "127.0.0.1", "FITQUEUE_LOGIN_PROXIES": "127.0.0.1"}
    server = serve(FITQUEUE_LOGIN_HEADER="X-Remote-User", **trusted)
    with closing(Database(f"sqlite:///{server.log.parent}/fitqueue.db")) as database, database.write() as session:
        users.create(session, "ada", Role.MEMBER)
    return server


@pytest.fixture(scope="module")
def proxy(api: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with ExitStack() as stack:
        yield _run_nginx(api, tmp_path_factory, stack)


def _run_nginx(api: Server, tmp_path_factory: pytest.TempPathFactory, stack: ExitStack) -> Proxy:
    """Run nginx with the documented lines, and the passwords of two people."""
    folder = tmp_path_factory.mktemp("nginx")
    # Not in pytest's own folder: nginx reads it as another user, if root has started it.
    public = Path(stack.enter_context(TemporaryDirectory(prefix="fitqueue-nginx-")))
    public.chmod(0o755)
    passwords = public / "passwords"
    passwords.write_text("ada:{PLAIN}secret\nnobody:{PLAIN}secret\n")
    page = section(section(text_of("operating.md"), "Behind a proxy"), "A login proxy", 3)
    outside, inside = re.findall(r"^```nginx\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    inside = inside.replace("/etc/nginx/fitqueue.htpasswd", str(passwords))
    changes = {BEFORE: f"{outside}{BEFORE}", AFTER: f"{AFTER}\n{inside}"}
    certificate = make_certificate(folder)
    return stack.enter_context(running_proxy("nginx", "", api.port, certificate, folder, **changes))


@pytest.fixture
def http(proxy: Proxy) -> Iterator[httpx.Client]:
    """A client that knows no password."""
    context = ssl.create_default_context(cafile=str(proxy.log.parent / "certificate.pem"))
    with httpx.Client(base_url=proxy.url, verify=context, trust_env=False, timeout=ANSWER_SECONDS) as http:
        yield http


def test_whoever_knows_a_password_is_logged_in(http: httpx.Client, proxy: Proxy) -> None:
    answer = http.get(ME, auth=("ada", "secret"))
    assert (answer.status_code, answer.json()["user"]["name"]) == (200, "ada")
    page = http.get("/", auth=("ada", "secret"), headers={"Accept": "text/html"})
    assert page.status_code == 200
    links = "/api/v1/login-links"
    assert http.post(links, auth=("ada", "secret"), headers={"Origin": proxy.url}).status_code == 201
    assert http.post(links, auth=("ada", "secret")).json()["code"] == "cross_site"


def test_nobody_else_is(http: httpx.Client) -> None:
    assert http.get(ME).status_code == 401
    assert http.get(ME, auth=("ada", "wrong")).status_code == 401
    assert http.get(ME, auth=("nobody", "secret")).json()["code"] == "forbidden"


@pytest.mark.parametrize("field", ["X-Remote-User", "x-remote-user", "X_Remote_User", "X-Remote_User"])
def test_what_a_client_says_to_the_proxy_is_not_believed(http: httpx.Client, api: Server, field: str) -> None:
    claims = [(field, "admin"), (field, "admin")]
    assert http.get(ME, headers=claims).status_code == 401
    for token, name in ((api.token, "admin"), ("wrong", None)):
        answer = http.get(ME, headers=[*claims, ("Authorization", f"Bearer {token}")])
        assert answer.json().get("user", {}).get("name") == name
    answer = http.get(ME, headers=claims, auth=("ada", "secret"))
    assert answer.json()["user"]["name"] == "ada"


@pytest.mark.parametrize(
    "fields",
    [
        ["X-Remote-User: admin"],
        ["X-Remote-User: admin", "X-Forwarded-For: 127.0.0.1"],
        ["X_Remote_User: admin"],
        ["X-Remote-User: admin", "X-Remote-User: admin"],
        ["X-Remote-User: admin", "X_Remote_User: admin"],
    ],
)
def test_what_a_client_says_to_the_api_is_not_believed(api: Server, fields: list[str]) -> None:
    with api.sockets:
        head = api.head(f"GET {ME}", *fields, "Connection: close", token=False)
        assert b" 401 " in api.send(head, STRANGER).recv(65_536).split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([b"X-Remote-User: admin"], 200),
        ([b"X_Remote_User: admin"], 401),
        ([b"X-Remote-User: ada", b"X_Remote_User: admin"], 200),
        ([b"X-Remote-User: admin", b"X-Remote-User: ada"], 403),
        ([b"X-Remote-User: admin, ada"], 403),
        ([b"X-Remote-User: \xc3\xa9"], 403),
        ([b"X-Remote-User: \xff"], 403),
        ([b"X-Remote-User:"], 401),
        ([b"X-Remote-User: admin\x00"], 400),
    ],
)
def test_what_the_proxy_passes_on_must_be_one_name(api: Server, fields: list[bytes], status: int) -> None:
    with api.sockets:
        content = b"\r\n".join(
            [f"GET {ME} HTTP/1.1".encode(), b"Host: localhost", b"Connection: close", *fields, b"", b""]
        )
        answer = api.exchange(content)
    assert answer.status == status
    if b"_" in fields[-1] and status == 200:
        assert b'"name":"ada"' in answer.body
