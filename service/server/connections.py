"""The open connections: which of them wait for their client, and which has to make room for a new one."""

from collections import Counter
from collections.abc import Container, Sequence
from typing import Final, Generic, Protocol, TypeVar

MAX_CONNECTIONS: Final = 512

MAX_PER_CLIENT: Final = 128
"""Connections from one address. More people than one may be behind it."""


class HasClient(Protocol):
    @property
    def client_address(self) -> str: ...


Conn = TypeVar("Conn", bound=HasClient)


class Connections(Generic[Conn]):
    """Connections that a thread serves are never closed for others; those that wait for their client are, oldest first.

    So a new connection is nearly always let in: a client that holds many open only pushes out its own.

    Args:
        proxies: addresses with connections of many clients, which are bounded only together with all others.
    """

    def __init__(
        self,
        limit: int = MAX_CONNECTIONS,
        limit_per_client: int = MAX_PER_CLIENT,
        proxies: Container[str] = frozenset(),
    ) -> None:
        self._limit = limit
        self._limit_per_client = limit_per_client
        self._proxies = proxies
        self._per_client: Counter[str] = Counter()
        self._deadlines: dict[Conn, float] = {}  # in the order in which they began to wait

    def __len__(self) -> int:
        return self._per_client.total()

    def add(self, conn: Conn) -> None:
        self._per_client[conn.client_address] += 1

    def remove(self, conn: Conn) -> None:
        self._deadlines.pop(conn, None)
        self._per_client[conn.client_address] -= 1
        if not self._per_client[conn.client_address]:
            del self._per_client[conn.client_address]

    def wait(self, conn: Conn, deadline: float) -> None:
        """Note that a connection waits for its client, until this time."""
        self._deadlines.pop(conn, None)
        self._deadlines[conn] = deadline

    def stop_waiting(self, conn: Conn) -> None:
        del self._deadlines[conn]

    def is_waiting(self, conn: Conn) -> bool:
        return conn in self._deadlines

    def waiting(self) -> Sequence[Conn]:
        return list(self._deadlines)

    def expired(self, now: float) -> Sequence[Conn]:
        """Return those that have waited too long."""
        return [conn for conn, deadline in self._deadlines.items() if deadline <= now]

    def bring_forward(self, deadline: float) -> None:
        """Let none wait longer than until this time."""
        self._deadlines = {conn: min(current, deadline) for conn, current in self._deadlines.items()}

    def surplus(self, new: Conn) -> Conn | None:
        """Return the connection to close, if there are too many with the one that was just added."""
        client = new.client_address
        if self._per_client[client] > self._limit_per_client and client not in self._proxies:
            own = (conn for conn in self._deadlines if conn.client_address == client)
            return next(own, new)
        return next(iter(self._deadlines), new) if len(self) > self._limit else None
