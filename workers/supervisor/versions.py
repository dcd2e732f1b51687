"""The versions of the programs that a worker trains with."""

import platform
from importlib import metadata
from typing import Final

_PACKAGES: Final = {"fitqueue": ("fitqueue",), "tensorflow": ("tensorflow", "tensorflow-cpu"), "keras": ("keras",)}
"""The packages that have each program, the usual one first."""


def versions() -> dict[str, str]:
    """Return the versions by the program's name, without importing any. What is not installed is left out."""
    found = {program: _version(packages) for program, packages in _PACKAGES.items()}
    return {"python": platform.python_version(), **{name: each for name, each in found.items() if each is not None}}


def _version(packages: tuple[str, ...]) -> str | None:
    for package in packages:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return None
