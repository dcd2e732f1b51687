"""A service on a real socket that fails as a script tells it to, in ways that a real one cannot be made to fail."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fitqueue.client.configuration import Connection
from fitqueue.client.transport import Transport


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """An answer of the service.

    Attributes:
        stops_at: after how many bytes of the body the connection is closed; -1 closes it before the status.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    stops_at: int | None = None


Responder = Callable[[Request], Answer]


class FaultyService:
    """Answers each request with the next answer of the script, and repeats the last one."""

    Answer = Answer

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.script: list[Answer | Responder] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                request = Request(self.command, self.path, dict(self.headers), self.rfile.read(length))
                service.requests.append(request)
                step = service.script.pop(0) if len(service.script) > 1 else service.script[0]
                self.send_answer(step if isinstance(step, Answer) else step(request))

            do_GET = do_POST = do_DELETE = handle_any

            def send_answer(self, answer: Answer) -> None:
                if answer.stops_at == -1:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if answer.status != 304:
                    with suppress(ConnectionError):  # a client may close the connection early
                        self.wfile.write(answer.body[: answer.stops_at])
                self.close_connection = answer.stops_at is not None

            def finish(self) -> None:
                with suppress(ConnectionError):
                    super().finish()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @staticmethod
    def problem(status: int, code: str, detail: str = "No.", **more: Any) -> Answer:
        document = {"title": "T", "status": status, "code": code, "detail": detail, "request_id": "req_1", **more}
        return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/problem+json"})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service() -> Iterator[FaultyService]:
    faulty_service = FaultyService()
    yield faulty_service
    faulty_service.close()


@pytest.fixture
def transport(service: FaultyService) -> Iterator[Transport]:
    opened = Transport(Connection(service.url, "fq_secret"))
    yield opened
    opened.close()
