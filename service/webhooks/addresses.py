"""Which network addresses messages may be sent to: public ones, and those of the networks that the operator lists.

A user of the service chooses the receiver. Without this, they could reach through it what only its machines may reach.
"""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_ALSO_SPECIAL: Final = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2002::/16", "3fff::/20")))
"""Networks that some versions of `ipaddress` take for public. Addresses of 2002::/16 have one of IPv4 in them."""

_IPV4_BITS: Final = 2**32 - 1
_LOOPBACK_NAME: Final = "localhost"


class ForbiddenAddress(Exception):
    """The host has no address that messages may be sent to."""


class UnknownHost(Exception):
    """The host has no address, or nobody could tell in time."""


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Tell whether messages may be sent to an address: it is public, or in one of these networks."""
    reached = _reached(address)
    return _is_public(reached) or any(reached in network for network in networks)


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return networks that are written as `10.0.0.0/8`.

    Raises:
        ValueError: one of them is not written so.
    """
    return tuple(map(ip_network, texts))


def literal_address(host: str) -> Address | None:
    """Return the address that a host is known to have without asking: also `2130706433`, `0x7f.1` and `localhost`."""
    if host == _LOOPBACK_NAME or host.endswith(f".{_LOOPBACK_NAME}"):
        return IPv4Address("127.0.0.1")
    try:
        return _addresses_in(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))[0]
    except (OSError, UnicodeError):  # UnicodeError: a part of the name is too long
        return None


def resolve_allowed(host: str, networks: Sequence[Network], timeout: float) -> list[Address]:
    """Return the addresses of a host that messages may be sent to; there is at least one.

    Raises:
        ForbiddenAddress: it has only others.
        UnknownHost: it has none, or nobody could tell in time.
    """
    allowed = [address for address in _resolve(host, timeout) if is_allowed(address, networks)]
    if not allowed:
        raise ForbiddenAddress()
    return allowed


def _reached(address: Address) -> Address:
    """Return the address that packets get to: one of IPv4 can be written as one of IPv6."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & _IPV4_BITS)
    return address.ipv4_mapped or address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    if any(address in network for network in _ALSO_SPECIAL):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _resolve(host: str, timeout: float) -> list[Address]:
    """Ask for the addresses of a host, in a thread: the system's resolver may take half a minute to give up."""
    answers: SimpleQueue[list[Address]] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        answers.put(_addresses_in(found))

    Thread(target=ask, name="resolver", daemon=True).start()
    try:
        addresses = answers.get(timeout=max(timeout, 0))
    except Empty:
        addresses = []
    if not addresses:
        raise UnknownHost()
    return addresses


def _addresses_in(found: Sequence[tuple[object, ...]]) -> list[Address]:
    texts = [str(entry[4][0]).partition("%")[0] for entry in found if isinstance(entry[4], tuple)]
    return list(dict.fromkeys(map(ip_address, texts)))
