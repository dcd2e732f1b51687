"""The addresses that answers contain: paths on the host, below the prefix of the proxy if it has one."""

from flask import request

from service.api import PREFIX


def root() -> str:
    """Return the path below which the client sees the service: empty, or one such as `/fitqueue`."""
    return request.script_root


def address_of(path: str) -> str:
    """Return the address of a path of the API, such as `/jobs`."""
    return f"{root()}{PREFIX}{path}"
