"""A served API, and clients that misbehave on the level of sockets."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from service.db import Database
from service.migrate import upgrade
from service.processes import free_port
from service.storage_marking import mark_folder
from service.store import tokens
from tests.waiting import ANSWER_SECONDS, until


@dataclass
class Reply:
    """An answer, read until the server closed the connection."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> Any:
        assert self.headers["content-type"] == "application/problem+json"
        return json.loads(self.body)


@dataclass
class Server:
    """gunicorn with our worker, in a process of its own."""

    port: int
    token: str
    other_token: str
    log: Path
    process: "subprocess.Popen[bytes]"
    sockets: ExitStack = field(default_factory=ExitStack)
    """Those that the test has opened."""

    def connect(self, address: str = "127.0.0.1") -> socket.socket:
        """Connect from this address of the machine. The connection is closed at the end of the test."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_SECONDS, source_address=(address, 0))
        return self.sockets.enter_context(sock)

    def send(self, content: bytes, address: str = "127.0.0.1") -> socket.socket:
        """Send the beginning of something on a new connection."""
        sock = self.connect(address)
        sock.sendall(content)
        return sock

    def head(self, line: str, *fields: str, token: bool = True) -> bytes:
        """Return the head of a request."""
        lines = [f"{line} HTTP/1.1", "Host: localhost", *fields]
        if token:
            lines.append(f"Authorization: Bearer {self.token}")
        return "\r\n".join([*lines, "", ""]).encode()

    def exchange(self, content: bytes) -> Reply:
        return reply(self.send(content))

    def get(self, path: str, token: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=ANSWER_SECONDS)

    def client_ports(self) -> set[int]:
        """Return the ports of the clients whose connections the server has."""
        workers = psutil.Process(self.process.pid).children()
        connections = [connection for worker in workers for connection in worker.net_connections("tcp")]
        return {connection.raddr.port for connection in connections if connection.raddr}

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def assert_answers(self) -> None:
        """Assert that what needs none of the threads is answered, and what needs one for another token."""
        assert self.get("/healthz").text == "ok\n"
        assert self.get("/api/v1/jobs", self.other_token).status_code == 200


def reply(sock: socket.socket) -> Reply:
    """Read the answer that ends the connection."""
    content = b"".join(iter(lambda: sock.recv(65536), b""))
    head, _, body = content.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (entry.split(": ", 1) for entry in fields)}
    return Reply(int(line.split()[1]), headers, body)


Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A function that starts a server. Its arguments are the seconds for a head, and for a client that stalls.

    `checks`: whether it has a model checker. `variables`: others of its environment.
    """
    with ExitStack() as stack:

        def serve(
            head_seconds: float = 120.0, stall_seconds: float = 120.0, checks: bool = False, **variables: str
        ) -> Server:
            folder = tmp_path_factory.mktemp("server")
            server = _start(folder, head_seconds, stall_seconds, checks, variables)
            stack.callback(stop, server)
            until(lambda: _is_up(server), 120, "the server answers")
            return server

        yield serve


@pytest.fixture(scope="session")
def _patient_server(serve: Serve) -> Server:
    return serve()


@pytest.fixture(scope="session")
def _impatient_server(serve: Serve) -> Server:
    return serve(head_seconds=2, stall_seconds=2)


@pytest.fixture
def server(_patient_server: Server) -> Iterator[Server]:
    """A server that closes no connection for its slowness while a test runs."""
    with _patient_server.sockets:
        yield _patient_server


@pytest.fixture
def impatient_server(_impatient_server: Server) -> Iterator[Server]:
    """A server that gives heads and clients that stall 2 s."""
    with _impatient_server.sockets:
        yield _impatient_server


def _start(folder: Path, head_seconds: float, stall_seconds: float, checks: bool, variables: dict[str, str]) -> Server:
    port, log, database_url = free_port(0), folder / "api.log", f"sqlite:///{folder}/fitqueue.db"
    upgrade(database_url)
    mark_folder(database_url, folder / "storage")
    with closing(Database(database_url)) as database, database.write() as session:
        token, other_token = tokens.create(session, "tests"), tokens.create(session, "others")
    environment = {
        **os.environ,
        "FITQUEUE_PORT": str(port),
        "FITQUEUE_DATABASE_URL": database_url,
        "FITQUEUE_REDIS_URL": "redis://127.0.0.1:1/0",
        "FITQUEUE_STORAGE": str(folder / "storage"),
        "TEST_CHECKS": str(int(checks)),
        "TEST_HEAD_SECONDS": str(head_seconds),
        "TEST_STALL_SECONDS": str(stall_seconds),
        **variables,
    }
    command = [sys.executable, "-m", "gunicorn", "--config", "python:tests.integration.server.quick_settings"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    return Server(port, token, other_token, log, process)


def _is_up(server: Server) -> bool:
    assert server.process.poll() is None, server.log.read_text()
    try:
        return server.get("/healthz").is_success
    except httpx.TransportError:
        return False


def stop(server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    try:
        server.process.wait(300)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
