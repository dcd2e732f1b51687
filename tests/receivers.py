"""Receivers of webhooks and mails on this machine, which behave as a test tells them."""

import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TextIO

from tests.waiting import until

SECONDS = 60.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Received:
    """A request that came."""

    line: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """A server that reads one request of each connection and answers it.

    Attributes:
        answer: what it answers with: bytes, or a function that gets the connection.
        context: for TLS.
    """

    answer: bytes | Callable[[socket.socket], None] = OK
    context: ssl.SSLContext | None = None
    requests: list[Received] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(SECONDS)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def hang(self, connection: socket.socket) -> None:
        """Answer nothing until the test is over, or the sender has gone."""
        connection.settimeout(SECONDS)
        while not self._closing.is_set() and connection.recv(1):
            pass

    def drip(self, connection: socket.socket) -> None:
        """Answer a byte of a header now and then, for ever."""
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not self._closing.wait(0.05):
            connection.sendall(b"X")

    def wait_for(self, count: int) -> list[Received]:
        until(lambda: len(self.requests) >= count, SECONDS, f"{count} requests")
        return self.requests

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            plain.settimeout(SECONDS)
            connection = plain if self.context is None else self.context.wrap_socket(plain, server_side=True)
            with connection:
                self.requests.append(_read(connection))
                if callable(self.answer):
                    self.answer(connection)
                else:
                    connection.sendall(self.answer)
        except OSError:
            plain.close()


def _read(connection: socket.socket) -> Received:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _chunk(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    line, *rows = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (row.split(": ", 1) for row in rows)}
    while len(body) < int(headers.get("content-length", 0)):
        body += _chunk(connection)
    return Received(line, headers, body)


def _chunk(connection: socket.socket) -> bytes:
    chunk = connection.recv(65_536)
    if not chunk:
        raise ConnectionError("the sender has gone")
    return chunk


@dataclass
class MailReceiver:
    """An SMTP server that takes each mail, or refuses all recipients."""

    refuses: bool = False
    port: int = 0
    mails: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(SECONDS)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, connection.makefile("rw", newline="") as stream:
                connection.settimeout(SECONDS)
                self._talk(stream)

    def _talk(self, talk: TextIO) -> None:
        def say(line: str) -> None:
            talk.write(f"{line}\r\n")
            talk.flush()

        say("220 mail.example.org")
        for line in talk:
            command = line.strip()
            self.commands.append(command)
            match command.split(" ")[0].upper():
                case "EHLO":
                    say("250 mail.example.org")
                case "RCPT":
                    say("550 no such user" if self.refuses else "250 ok")
                case "DATA":
                    say("354 go on")
                    lines = []
                    while (text := talk.readline()) != ".\r\n":
                        lines.append(text)
                    self.mails.append("".join(lines))
                    say("250 queued")
                case "QUIT":
                    say("221 bye")
                    return
                case _:
                    say("250 ok")


def address_in(mail: str, header: str) -> str:
    """Return a header of a mail."""
    found = re.search(rf"^{header}: (.*?)\r$", mail, re.MULTILINE)
    assert found is not None
    return found[1]
