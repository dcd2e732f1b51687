"""Reads the file that is submitted. If it is something else than a job, the error says what it is and what to type.

Files are recognised by their first bytes, by their JSON, and last by their names. Nothing in them is run or loaded.
"""

import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import IO, Any, Final

import click

from fitqueue.cli import other_files
from fitqueue.cli.other_files import Kind

HEAD: Final = 4096
"""How many bytes are read to recognise a file: a data set can be larger than the memory."""

_SUFFIXES: Final[Mapping[str, Kind]] = {
    ".py": other_files.SCRIPT,
    ".csv": other_files.CSV,
    ".tsv": other_files.CSV,
    ".h5": other_files.H5_MODEL,
    ".hdf5": other_files.H5_MODEL,
    ".pkl": other_files.PICKLE,
    ".pickle": other_files.PICKLE,
    ".joblib": other_files.PICKLE,
    ".yaml": other_files.YAML,
    ".yml": other_files.YAML,
    ".toml": other_files.TOML,
}
_BINARY_SUFFIXES: Final[Mapping[str, Kind]] = {
    ".pt": other_files.PYTORCH,
    ".pth": other_files.PYTORCH,
    ".pb": other_files.TENSORFLOW_GRAPH,
    ".onnx": other_files.ONNX,
    ".tflite": other_files.TFLITE,
    ".parquet": other_files.PARQUET,
    ".tfrecord": other_files.TFRECORD,
    ".tfrecords": other_files.TFRECORD,
    ".xlsx": other_files.EXCEL,
    ".xls": other_files.EXCEL,
}
"""Files that are told by their names: their content may begin like anything."""
_SCRIPT: Final = re.compile(r"^(#!.*python|import \w|from [\w.]+ import |def \w+\(|class \w+)", re.MULTILINE)
_SEPARATORS: Final = (",", ";", "\t")


def read_job(file: IO[bytes]) -> bytes:
    """Return the content of a file, which may be a job.

    Raises:
        click.ClickException: it is something else, and the message says what to do with it.
    """
    name = getattr(file, "name", "")
    name = name if isinstance(name, str) else ""
    head = file.read(HEAD)
    kind = kind_of_head(head, name)
    if kind is None:
        content = head + file.read()
        kind = kind_of_json(content)
    if kind is not None:
        raise click.ClickException(kind.explain(name))
    return content


def kind_of_head(head: bytes, name: str) -> Kind | None:
    """Return the kind of a file that begins like this, and is not JSON; None if it may be a job."""
    kind = _kind_of_bytes(head, name)
    return _kind_of_text(head, name) if kind is None and not may_be_json(head) else kind


def may_be_json(head: bytes) -> bool:
    """Return whether a file begins as JSON does."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[", b'"')


def _kind_of_bytes(head: bytes, name: str) -> Kind | None:
    if not head.strip():
        return other_files.EMPTY
    if kind := _BINARY_SUFFIXES.get(PurePath(name).suffix.lower()):
        return kind
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(head[30 : 30 + int.from_bytes(head[26:28], "little")])
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return other_files.WEIGHTS if name.endswith(".weights.h5") else other_files.H5_MODEL
    if head.startswith(b"\x93NUMPY"):
        return other_files.NPY
    if head.startswith(b"PAR1"):
        return other_files.PARQUET
    if head[4:8] == b"TFL3":
        return other_files.TFLITE
    if re.match(rb"\x80[\x02-\x05]", head):
        return other_files.PICKLE
    return None


def _kind_of_zip(first_member: bytes) -> Kind:
    if first_member.endswith(b".npy"):
        return other_files.NPZ
    if first_member.endswith(b"/data.pkl"):
        return other_files.PYTORCH
    is_excel = first_member.startswith((b"xl/", b"docProps/", b"[Content_Types].xml"))
    return other_files.EXCEL if is_excel else other_files.KERAS_MODEL


def kind_of_json(content: bytes) -> Kind | None:
    """Return the kind of a file with this JSON; None if it may be a job."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None  # the service says what is wrong with it, and where
    if isinstance(value, list):
        return other_files.LIST
    if isinstance(value, str):
        return other_files.MODEL_IN_A_STRING if '"class_name"' in value else None
    return _kind_of_object(value) if isinstance(value, dict) else None


def _kind_of_object(value: dict[str, Any]) -> Kind | None:
    if isinstance(value.get("spec"), dict) and "compile" not in value:
        return other_files.JOB_VIEW
    if "model" in value:
        return None
    if "modelTopology" in value or "weightsManifest" in value:
        return _kind_of_topology(value.get("modelTopology"))
    if "nbformat" in value:
        return other_files.NOTEBOOK
    if "class_name" in value:
        return other_files.MODEL
    if "layers" in value:
        return other_files.FUNCTIONAL_CONFIG if "output_layers" in value else other_files.SEQUENTIAL_CONFIG
    return None


def _kind_of_topology(topology: Any) -> Kind:
    if isinstance(topology, dict) and isinstance(topology.get("model_config"), dict):
        return other_files.TENSORFLOW_JS
    is_model = isinstance(topology, dict) and "class_name" in topology
    return other_files.TENSORFLOW_JS_TOPOLOGY if is_model else other_files.TENSORFLOW_JS_GRAPH


def _kind_of_text(head: bytes, name: str) -> Kind | None:
    kind = _SUFFIXES.get(PurePath(name).suffix.lower())
    if kind is not None:
        return kind
    text = head.decode(errors="replace")
    if _SCRIPT.search(text):
        return other_files.SCRIPT
    return other_files.CSV if _is_table(text.splitlines()[:2]) else None


def _is_table(lines: list[str]) -> bool:
    """Return whether the first two lines have the same number of fields, at least two."""
    counts = [[line.count(separator) for line in lines] for separator in _SEPARATORS]
    return len(lines) == 2 and any(first == second > 0 for first, second in counts)
