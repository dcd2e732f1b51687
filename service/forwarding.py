"""What proxies say about the client of a request, in `X-Forwarded-…`: it is believed of those that the settings name.

A client can send the same header fields. From anybody else they are removed, so that nothing else reads them.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

from werkzeug.middleware.proxy_fix import ProxyFix

MAX_PREFIX: Final = 128

_FIELD: Final = "HTTP_X_FORWARDED_"
_HOST: Final = re.compile(r"([A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
# A prefix becomes a part of pages, links and cookies, so it has no character that means anything there. A segment does
# not begin with a dot: `..` would lead elsewhere.
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")


class TrustedProxies:
    """The addresses and networks of the proxies that are believed."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ip_network(network) for network in networks]

    def __contains__(self, address: object) -> bool:
        parsed = _parse_address(str(address))
        return parsed is not None and any(parsed in network for network in self._networks)


class ForwardedRequests:
    """A WSGI application that sees a request as the client sent it to the proxy.

    Its address, scheme, host, and the prefix below which the proxy has the service, are those that the nearest proxy
    tells. What cannot be one of these is ignored.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]], proxies: TrustedProxies) -> None:
        self._proxies = proxies
        self._application = ProxyFix(application, x_for=1, x_proto=1, x_host=1, x_prefix=1)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        told = {name: environ.pop(name) for name in list(environ) if name.startswith(_FIELD)}
        if environ.get("REMOTE_ADDR") in self._proxies:
            environ.update(self._usable(told))
        return self._application(environ, start_response)

    def _usable(self, told: Mapping[str, str]) -> dict[str, str]:
        def last(name: str) -> str:
            return told.get(_FIELD + name, "").rpartition(",")[2].strip()

        usable = {
            "FOR": self._client(told.get(_FIELD + "FOR", "")),
            "PROTO": _scheme(last("PROTO")),
            "HOST": _host(last("HOST")),
            "PREFIX": _prefix(last("PREFIX")),
        }
        return {_FIELD + name: value for name, value in usable.items() if value is not None}

    def _client(self, addresses: str) -> str | None:
        """Return the last address that is not a proxy's, as each proxy appends the one it was called from."""
        client = None
        for entry in reversed(addresses.split(",")):
            address = _parse_address(entry.strip())
            if address is None:
                break
            client = str(address)
            if client not in self._proxies:
                break
        return client


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A socket that listens on all addresses of IPv6 shows those of IPv4 in this form.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _scheme(value: str) -> str | None:
    return value.lower() if value.lower() in {"http", "https"} else None


def _host(value: str) -> str | None:
    return value if _HOST.fullmatch(value) else None


def _prefix(value: str) -> str | None:
    prefix = value.removesuffix("/")
    return prefix if len(prefix) <= MAX_PREFIX and _PREFIX.fullmatch(prefix) else None
