"""Sends one message by HTTP, to a receiver that nobody trusts.

The host is resolved once, and the connection goes to an address that was checked. No redirect is followed, and nothing
of the answer is read behind its headers. All of it together takes five seconds at most.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from http import HTTPStatus
from threading import Event, Timer
from typing import Final

import httpx

from service.webhooks.addresses import Address, ForbiddenAddress, Network, UnknownHost, resolve_allowed
from service.webhooks.endpoint import Endpoint
from service.webhooks.outcome import Outcome, Verdict

SECONDS: Final = 5.0


def post(
    endpoint: Endpoint,
    body: bytes,
    headers: Mapping[str, str],
    networks: Sequence[Network] = (),
    seconds: float = SECONDS,
) -> Outcome:
    """Send a message, and return what came of it. It never raises what the receiver or the network did.

    Args:
        endpoint: where to.
        body: the message, as JSON.
        headers: those of the message.
        networks: the networks beside the public ones in which the receiver may be.
        seconds: how long it may take in all.
    """
    deadline = time.monotonic() + seconds
    try:
        addresses = resolve_allowed(endpoint.host, networks, seconds)
        connection = _connect(endpoint, addresses, deadline)
    except UnknownHost:
        return Outcome(Verdict.RETRY, "the host was not found")
    except ForbiddenAddress:
        return Outcome(Verdict.RETRY, "refused: the host has no public address")
    except ssl.SSLError as error:
        return Outcome(Verdict.RETRY, f"no encrypted connection: {_reason(error)}")
    except OSError as error:
        return Outcome(Verdict.RETRY, _too_slow(seconds) if isinstance(error, TimeoutError) else "no connection")
    with closing(connection), _cut_off(connection.sock, deadline) as is_late:
        try:
            outcome = _outcome(_status(connection, endpoint, body, headers))
        except (OSError, http.client.HTTPException, ValueError):  # ValueError: a number in the answer is not one
            outcome = Outcome(Verdict.RETRY, "no answer that is HTTP")
        return Outcome(Verdict.RETRY, _too_slow(seconds)) if is_late.is_set() else outcome


def _connect(endpoint: Endpoint, addresses: Sequence[Address], deadline: float) -> http.client.HTTPConnection:
    """Connect to the first of these addresses that can be reached.

    Raises:
        OSError: none can.
    """
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port)
    # Else it would resolve the host again, for a connection that the receiver has closed.
    connection.auto_open = 0
    connection.sock = _open_socket(endpoint, addresses, deadline)
    return connection


def _open_socket(endpoint: Endpoint, addresses: Sequence[Address], deadline: float) -> socket.socket:
    error: OSError = TimeoutError()
    for address in addresses:
        if _left(deadline) <= 0:
            break
        try:
            plain = socket.create_connection((str(address), endpoint.port), timeout=_left(deadline))
        except OSError as failed:
            error = failed
            continue
        return _encrypted(plain, endpoint, deadline) if endpoint.is_encrypted else plain
    raise error


def _encrypted(plain: socket.socket, endpoint: Endpoint, deadline: float) -> ssl.SSLSocket:
    """Encrypt a connection, with the certificate of the host's name. The whole handshake has the time that is left.

    Raises:
        OSError: the receiver does not do it, or has another certificate.
    """
    try:
        plain.settimeout(max(_left(deadline), 0.001))
        return _tls_context().wrap_socket(plain, server_hostname=endpoint.host)
    except BaseException:
        plain.close()
        raise


@cache
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


@contextmanager
def _cut_off(connected: socket.socket, deadline: float) -> Iterator[Event]:
    """Shut the connection down at the deadline, which a timeout of each read would not do: it may come byte by byte."""
    is_late = Event()

    def cut() -> None:
        is_late.set()
        with suppress(OSError):
            # Not the method of SSLSocket, which would take its TLS away from the thread that reads.
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    timer = Timer(max(_left(deadline), 0), cut)
    timer.start()
    try:
        yield is_late
    finally:
        timer.cancel()


def _status(connection: http.client.HTTPConnection, endpoint: Endpoint, body: bytes, headers: Mapping[str, str]) -> int:
    connection.sock.settimeout(SECONDS)
    fixed = {"Host": endpoint.host_header, "Content-Type": "application/json", "Connection": "close"}
    connection.request("POST", endpoint.path, body, {**fixed, **headers})
    return connection.getresponse().status


def _outcome(status: int) -> Outcome:
    text = f"{status} {_phrase(status)}".strip()
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome(Verdict.DELIVERED, text)
    if status == HTTPStatus.GONE:
        return Outcome(Verdict.GONE, text)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Outcome(Verdict.RETRY, f"{text}; redirects are not followed")
    return Outcome(Verdict.RETRY, text)


def _phrase(status: int) -> str:
    """Return the words for a status: ours, and not those of the receiver, who may say anything there."""
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""


def _reason(error: ssl.SSLError) -> str:
    return "its certificate is not valid" if isinstance(error, ssl.SSLCertVerificationError) else "TLS failed"


def _too_slow(seconds: float) -> str:
    return f"no answer within {seconds:g} s"


def _left(deadline: float) -> float:
    return deadline - time.monotonic()
