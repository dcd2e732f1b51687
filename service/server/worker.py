"""gunicorn's threaded worker, whose threads never wait for the head of a request, nor for ever for anything else.

gunicorn gives every new connection a thread, which then waits for the request. Here its main loop reads the heads of
all connections, and closes those that take too long, that are too many, or that do not end after their last answer.
`/healthz` has threads of its own, so it is answered while all others are taken.
"""

import errno
import resource
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from socket import SHUT_WR, socket
from typing import Any, Final

from gunicorn.workers.gthread import TConn, ThreadWorker

from fitqueue.errors import FitQueueError, InternalError, RequestTimeout
from service.api.authentication import LIVENESS_PATH
from service.forwarding import TrustedProxies
from service.login_proxy import LoginProxies
from service.server.bodies import with_our_body
from service.server.connections import Connections
from service.server.head import Head
from service.server.pace import PacedSocket, TooSlow
from service.server.refusals import refusal_of, response_of
from service.server.shares import Shares
from service.settings import Settings

HEAD_SECONDS: Final = 10.0
"""How long the head of a request may take to arrive, however it is sent."""

CLOSING_SECONDS: Final = 2.0
"""How long the client may take to close after the last answer. If we closed first, what it still sends could make its
side drop the answer."""

DRAIN_SECONDS: Final = 0.005
DRAIN_BYTES: Final = 65_536
"""How long a thread waits for the rest of a body that the application did not want, and how much of it the thread
reads. If there is more, the connection is closed."""

_CHUNK: Final = 65_536
_DESCRIPTORS: Final = 4096
_NOT_NOW: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED})
_NO_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """One connection, with what has arrived of its next request."""

    sock: PacedSocket
    on_readable: Callable[["Connection"], None]

    def __init__(self, cfg: Any, sock: socket, client: Any, server: Any) -> None:
        super().__init__(cfg, PacedSocket(fileno=sock.detach()), client, server)
        self.client_address = str(client[0]) if client else ""
        self.head = Head()
        self.is_closing = False
        self.data_ready = True  # a thread gets it only then

    def init(self) -> None:
        """Give the parser what the main loop has read; gunicorn calls this in a thread."""
        super().init()
        self.parser.unreader.unread(self.head.take())


class BoundedThreadWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Overrides where a connection comes in, where a thread is done with it, and where those that wait are closed."""

    def init_process(self) -> None:
        _raise_descriptor_limit()
        proxies = TrustedProxies(self.cfg.forwarded_allow_ips)
        self._connections: Connections[Connection] = Connections(proxies=proxies)
        self._liveness_pool = ThreadPoolExecutor(2, "liveness")
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        settings = Settings()
        proxies = LoginProxies(settings.login_header, settings.login_proxies)
        self.wsgi: Callable[..., Any] = Shares(with_our_body(self.wsgi), proxies)

    def accept(self, listener: socket) -> None:
        """Let a new connection in, if need be in place of one that only waits."""
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno in _NO_DESCRIPTORS:
                self._close_first_waiting()
            elif error.errno not in _NOT_NOW:
                raise
            return
        conn = Connection(self.cfg, sock, address, listener.getsockname())
        self.nr_conns += 1
        self._connections.add(conn)
        surplus = self._connections.surplus(conn)
        if surplus is not None:
            self._close(surplus)
        if surplus is not conn:
            self._wait(conn, HEAD_SECONDS, self._read_head)

    def enqueue_req(self, conn: Connection) -> None:
        """Give a request, whose head is complete, to a thread."""
        conn.sock.begin_request()
        pool = self._liveness_pool if conn.head.asks_for(LIVENESS_PATH) else self.tpool
        future = pool.submit(self.handle, conn)
        future.add_done_callback(lambda future: self.method_queue.defer(self.finish_request, conn, future))

    def finish_request(self, conn: Connection, fs: "Future[Any]") -> None:
        """Wait for the next request, or for the client to close. A thread is done with this one."""
        if conn.sock.fileno() < 0:
            self._close(conn)
        elif fs.cancelled() or fs.exception() or not fs.result():
            self._begin_to_close(conn)
        else:
            conn.head.add(conn.parser.unreader.take_buffered())
            self._wait(conn, HEAD_SECONDS if conn.head else self.cfg.keepalive, self._read_head)
            self._proceed(conn)

    def handle_error(self, _req: Any, client: PacedSocket, addr: Any, exc: BaseException) -> None:
        """Answer what never reached the application, or failed outside of it."""
        error = refusal_of(exc)
        if isinstance(error, InternalError):
            self.log.exception("The request failed.")
        else:
            self.log.warning("A request was refused: %s", error.message, extra={"client": addr[0] if addr else ""})
        with suppress(OSError):
            client.sendall(response_of(error))

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        conn.sock.begin_to_drain(DRAIN_SECONDS)
        try:
            return keepalive and bool(conn.parser.finish_body(max_bytes=DRAIN_BYTES))
        except TooSlow:
            return False

    def murder_keepalived(self, force: bool = False) -> None:
        """Close what has waited too long; gunicorn calls this after each round of events, and at the end."""
        if force:
            for conn in self._connections.waiting():
                self._close(conn)
        now = time.monotonic()
        for conn in self._connections.expired(now):
            self._handle_readable(conn, conn.sock)  # it may have arrived in time, while the loop was busy
        for conn in self._connections.expired(now):
            if conn.head and not conn.is_closing and self.alive:
                self._refuse(conn, RequestTimeout("The head of the request arrived too slowly."))
            else:
                self._close(conn)

    def murder_pending(self) -> None:
        """Do nothing: all that wait are in one place."""

    def _cap_keepalive(self, deadline: float) -> None:
        self._connections.bring_forward(deadline)

    def _read_head(self, conn: Connection) -> None:
        chunk = _received(conn.sock)
        if chunk is None:
            return
        if not chunk:
            self._close(conn)
            return
        if conn.initialized and not conn.head:  # until now it was kept alive for another request
            self._connections.wait(conn, time.monotonic() + HEAD_SECONDS)
        conn.head.add(chunk)
        self._proceed(conn)

    def _proceed(self, conn: Connection) -> None:
        """Serve the request if its head is complete, refuse it if it never will be, or else go on waiting."""
        if conn.head.is_complete:
            self._stop_waiting(conn)
            self.enqueue_req(conn)
        elif conn.head.fault is not None:
            self._refuse(conn, conn.head.fault)

    def _refuse(self, conn: Connection, error: FitQueueError) -> None:
        self._stop_waiting(conn)
        with suppress(OSError):
            conn.sock.send(response_of(error))
        self._begin_to_close(conn)

    def _begin_to_close(self, conn: Connection) -> None:
        conn.is_closing = True
        try:
            conn.sock.shutdown(SHUT_WR)
        except OSError:
            self._close(conn)
        else:
            self._wait(conn, CLOSING_SECONDS, self._read_the_rest)

    def _read_the_rest(self, conn: Connection) -> None:
        if _received(conn.sock) == b"":
            self._close(conn)

    def _wait(self, conn: Connection, seconds: float, on_readable: Callable[[Connection], None]) -> None:
        conn.on_readable = on_readable
        conn.sock.setblocking(False)
        self._connections.wait(conn, time.monotonic() + seconds)
        self.poller.register(conn.sock, EVENT_READ, partial(self._handle_readable, conn))

    def _handle_readable(self, conn: Connection, _sock: socket) -> None:
        if self._connections.is_waiting(conn):  # not closed by an earlier event of the same round
            conn.on_readable(conn)

    def _stop_waiting(self, conn: Connection) -> None:
        self._connections.stop_waiting(conn)
        self.poller.unregister(conn.sock)

    def _close(self, conn: Connection) -> None:
        if self._connections.is_waiting(conn):
            self._stop_waiting(conn)
        self._connections.remove(conn)
        self.nr_conns -= 1
        conn.close()

    def _close_first_waiting(self) -> None:
        for conn in self._connections.waiting()[:1]:
            self._close(conn)


def _received(sock: PacedSocket) -> bytes | None:
    """Return what has arrived, nothing at the end of the connection, and None if there is nothing to read yet."""
    try:
        return sock.recv(_CHUNK)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""


def _raise_descriptor_limit() -> None:
    """Let this process open more files than the usual 1,024 at once: each connection needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
