"""Which addresses messages may be sent to."""

import socket
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.webhooks import addresses
from service.webhooks.addresses import (
    ForbiddenAddress,
    UnknownHost,
    is_allowed,
    literal_address,
    parse_networks,
    resolve_allowed,
)

FORBIDDEN = [
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "0.1.2.3", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::", "::1",
    "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "::7f00:1", "2002:7f00:1::", "100::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_what_is_not_public_is_forbidden(address: str) -> None:
    assert not is_allowed(ip_address(address), ())


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_allowed(address: str) -> None:
    assert is_allowed(ip_address(address), ())


def test_a_listed_network_is_allowed_in_all_its_forms_and_no_other_one() -> None:
    networks = parse_networks(["10.1.0.0/16", "fd00::/64"])
    allowed = ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd00::5"]
    assert [address for address in allowed if not is_allowed(ip_address(address), networks)] == []
    assert not any(is_allowed(ip_address(address), networks) for address in ("10.2.0.1", "fd01::5", "127.0.0.1"))


@given(st.ip_addresses(v=4))
def test_an_address_of_ipv4_is_judged_alike_however_it_is_written(address: Any) -> None:
    for form in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert is_allowed(ip_address(form), ()) == is_allowed(address, ())


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "a.localhost"])
def test_other_ways_to_write_the_loopback_address_are_known(host: str) -> None:
    assert literal_address(host) == ip_address("127.0.0.1")


@pytest.mark.parametrize("host", ["example.org", "localhost.example.org", "a" * 300, "1.2.3.example"])
def test_a_name_has_no_address_before_it_is_resolved(host: str) -> None:
    assert literal_address(host) is None


def _answering(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let names have these addresses; return the names that will be asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, *arguments: Any, **options: Any) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer, 0)) for answer in answers]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", getaddrinfo)
    return asked


def test_of_several_addresses_only_the_allowed_ones_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _answering(monkeypatch, "10.0.0.1", "1.1.1.1", "fe80::1%eth0", "1.1.1.1")
    assert resolve_allowed("hooks.example.org", (), 5) == [ip_address("1.1.1.1")]
    assert asked == ["hooks.example.org"]


def test_a_name_with_private_addresses_alone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _answering(monkeypatch, "10.0.0.1", "169.254.169.254")
    with pytest.raises(ForbiddenAddress):
        resolve_allowed("hooks.example.org", (), 5)


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    test_is_over = Event()
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: test_is_over.wait(60) and [])
    with pytest.raises(UnknownHost):
        resolve_allowed("hooks.example.org", (), 0.05)
    test_is_over.set()


def test_a_name_that_is_too_long_is_an_unknown_host() -> None:
    with pytest.raises(UnknownHost):
        resolve_allowed("a" * 64 + ".invalid", (), 30)
