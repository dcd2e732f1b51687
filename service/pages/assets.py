"""Scripts, styles and pictures of the pages, under addresses that change with their content: cached for ever."""

import gzip
import hashlib
import importlib.util
import mimetypes
from functools import cache
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, request

from fitqueue.errors import NotFound
from service.api.authentication import ASSETS_PATH

blueprint = Blueprint("assets", __name__)

PLOTLY: Final = "plotly.min.js"

_STATIC: Final = Path(__file__).parent / "static"
_HASH_LENGTH: Final = 16


@blueprint.get(f"{ASSETS_PATH}<version>/<name>")
def asset(version: str, name: str) -> Response:
    """Answer with a file. An old version is not there any more: a page asks for those that it was made with."""
    if name not in _files() or version != version_of(name):
        raise NotFound(f"There is no asset '{name}' of this version.")
    compresses = request.accept_encodings.quality("gzip") > 0
    response = Response(_compressed(name) if compresses else _files()[name].read_bytes())
    response.mimetype = _mimetype(name)
    if compresses:
        response.content_encoding = "gzip"
    response.vary.add("Accept-Encoding")
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def version_of(name: str) -> str:
    """Return the version in the address of a file: one for all of our own, so that scripts find each other."""
    return _hash_of(PLOTLY) if name == PLOTLY else _own_version()


@cache
def _files() -> dict[str, Path]:
    own = {file.name: file for file in sorted(_STATIC.iterdir()) if file.is_file()}
    return {**own, PLOTLY: _plotly_file()}


def _plotly_file() -> Path:
    """Find the script that the package `plotly` carries, without importing the package."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("The package 'plotly' is not installed")
    return Path(spec.submodule_search_locations[0]) / "package_data" / PLOTLY


@cache
def _own_version() -> str:
    hashes = "".join(_hash_of(name) for name in _files() if name != PLOTLY)
    return hashlib.sha256(hashes.encode()).hexdigest()[:_HASH_LENGTH]


@cache
def _hash_of(name: str) -> str:
    return hashlib.sha256(_files()[name].read_bytes()).hexdigest()[:_HASH_LENGTH]


@cache
def _compressed(name: str) -> bytes:
    return gzip.compress(_files()[name].read_bytes(), mtime=0)


def _mimetype(name: str) -> str:
    # Not what the machine's own table says: a wrong type would keep a module from being loaded.
    known = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    return known.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
