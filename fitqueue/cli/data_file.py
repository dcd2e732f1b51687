"""Recognises a file that is uploaded but is neither a data set nor weights, and says what to do with it."""

from pathlib import Path
from typing import Final

import click

from fitqueue.cli import other_data
from fitqueue.cli.job_file import HEAD, kind_of_head, kind_of_json, may_be_json
from fitqueue.cli.other_data import FOR_DATA
from fitqueue.cli.other_files import H5_MODEL, KERAS_MODEL, NPY, NPZ, WEIGHTS, Kind

_UPLOADED: Final = (NPZ, NPY, KERAS_MODEL, H5_MODEL, WEIGHTS)


def refuse_other_files(path: Path) -> None:
    """Refuse a file that the service could not read.

    Raises:
        click.ClickException: it is something else than arrays or weights, and the message says what to do with it.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
        kind = kind_of_head(head, path.name)
        if kind is None and may_be_json(head):
            kind = _kind_of_json(head + file.read())
    if kind not in _UPLOADED:
        kind = FOR_DATA.get(kind, kind) if kind is not None else other_data.OTHER
        raise click.ClickException(kind.explain(str(path), "a data set"))


def _kind_of_json(content: bytes) -> Kind:
    return kind_of_json(content) or (other_data.JOB if b'"model"' in content else other_data.JSON_ARRAYS)
