"""What is uploaded by mistake in place of a data set, and the lines that make one of it."""

from collections.abc import Mapping
from typing import Final

from fitqueue.cli import other_files
from fitqueue.cli.other_files import Kind

_DATA_SET: Final = "A data set is an .npz file of numeric arrays."
_ADD: Final = "fitqueue dataset add {stem}.npz"
_SAVE: Final = "`numpy.savez('data.npz', x=…, y=…)`"

JOB: Final = Kind("a job, and not {expected}", "Submit it:", ("fitqueue submit {file}",))
_SCRIPT: Final = Kind(
    "a Python script, and not {expected}",
    f"{_DATA_SET} Write {_SAVE} into the script, and run it:",
    ("python {file}", "fitqueue dataset add data.npz"),
)
_NOTEBOOK: Final = Kind(
    "a notebook, and not {expected}",
    f"{_DATA_SET} Run {_SAVE} in a cell, and then:",
    ("fitqueue dataset add data.npz",),
)
_PYTORCH: Final = Kind(
    "a file of PyTorch, and not {expected}",
    f"{_DATA_SET} If it holds tensors by name:",
    (
        "python -c \"import numpy, torch; t = torch.load('{file}', weights_only=True); "
        "numpy.savez('{stem}.npz', **{name: t[name].numpy() for name in t})\"",
        _ADD,
    ),
)
_PICKLE: Final = Kind(
    "a pickle, and not {expected}",
    "Loading a pickle runs the code in it, so the service takes none. If you trust it, and it has inputs and targets:",
    (
        "python -c \"import numpy, pickle; x, y = pickle.load(open('{file}', 'rb')); "
        "numpy.savez('{stem}.npz', x=x, y=y)\"",
        _ADD,
    ),
)
_JSON_TABLE: Final = Kind(
    "JSON, and not {expected}",
    f"{_DATA_SET} If each item of the list is a row of numbers, with the target at its end:",
    (
        "python -c \"import numpy, pandas; t = pandas.read_json('{file}').to_numpy('float32'); "
        "numpy.savez('{stem}.npz', x=t[:, :-1], y=t[:, -1])\"",
        _ADD,
    ),
)
JSON_ARRAYS: Final = Kind(
    "JSON, and not {expected}",
    f"{_DATA_SET} If it is an object of arrays by name:",
    (
        "python -c \"import json, numpy; t = json.load(open('{file}')); "
        "numpy.savez('{stem}.npz', **{name: numpy.array(t[name]) for name in t})\"",
        _ADD,
    ),
)
OTHER: Final = Kind(
    "not {expected}",
    f"{_DATA_SET} In Python, write {_SAVE}. Then:",
    ("fitqueue dataset add data.npz",),
)
EMPTY: Final = Kind("empty", OTHER.advice, OTHER.lines)

FOR_DATA: Final[Mapping[Kind, Kind]] = {
    other_files.SCRIPT: _SCRIPT,
    other_files.NOTEBOOK: _NOTEBOOK,
    other_files.PYTORCH: _PYTORCH,
    other_files.PICKLE: _PICKLE,
    other_files.LIST: _JSON_TABLE,
    other_files.YAML: OTHER,
    other_files.TOML: OTHER,
    other_files.EMPTY: EMPTY,
}
"""What stands for a kind of file where a data set is expected. The other kinds say the same as for a job."""
