"""`fitqueue dataset add` of a file that is not a data set: what it says, and what its lines make."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from fitqueue.cli.data_file import refuse_other_files
from tests.unit.fitqueue.cli.conftest import RefuseFile
from tests.unit.fitqueue.cli.test_job_file import (
    HDF5,
    JOB,
    MODEL,
    TABLE,
    excel_file,
    in_json,
    keras_file,
    npy,
    npz,
    torch_file,
)

ARRAYS = {"x": [[1.0, 2.0], [3.0, 4.0]], "y": [0, 1]}

NOT_DATA: dict[str, tuple[str, bytes, str, str]] = {
    "CSV": ("data.csv", TABLE, "a table, and not a data set.", "fitqueue dataset add data.npz"),
    "CSV by its content": ("data", TABLE, "a table, and not", "fitqueue dataset add data.npz"),
    "script": ("data.py", b"x = 1\n", "a Python script, and not", "fitqueue dataset add data.npz"),
    "notebook": ("n.ipynb", in_json({"nbformat": 4}), "a notebook, and not", "fitqueue dataset add data.npz"),
    "Excel": ("t.xlsx", excel_file(), "an Excel file, and not", "fitqueue dataset add t.npz"),
    "PyTorch": ("t.pt", torch_file(), "a file of PyTorch, and not", "fitqueue dataset add t.npz"),
    "Parquet": ("t.parquet", b"PAR1", "a Parquet file, and not", "fitqueue dataset add t.npz"),
    "TFRecord": ("t.tfrecord", bytes(20), "a file of TFRecords, and not", "fitqueue dataset add t.npz"),
    "pickle": ("t.pkl", pickle.dumps([1]), "a pickle, and not", "fitqueue dataset add t.npz"),
    "JSON": ("t.json", in_json(ARRAYS), "JSON, and not", "fitqueue dataset add t.npz"),
    "JSON list": ("t.json", in_json([{"a": 1}]), "JSON, and not", "fitqueue dataset add t.npz"),
    "job": ("job.json", in_json(JOB), "a job, and not", "fitqueue submit job.json"),
    "model": ("model.json", in_json(MODEL), "a Keras model, which", "fitqueue submit job.json"),
    "ONNX": ("m.onnx", b"\x08", "an ONNX model, which has no", "fitqueue submit examples/digits_cnn.json"),
    "text": ("notes.txt", b"Remember the milk.\n", "not a data set.", "fitqueue dataset add data.npz"),
    "picture": ("a.png", b"\x89PNG\r\n", "not a data set.", "fitqueue dataset add data.npz"),
    "empty": ("x.npz", b"", "empty.", "fitqueue dataset add data.npz"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "description", "line"), NOT_DATA.values(), ids=NOT_DATA)
def test_it_says_what_the_file_is_and_what_to_type(
    name: str, content: bytes, description: str, line: str, refuse_file: RefuseFile
) -> None:
    err = refuse_file(["dataset", "add", name], content)
    assert err.startswith(f"Error: {name} is {description}")
    assert "{" not in err.splitlines()[0]
    assert [shown for shown in err.splitlines() if shown.startswith("    ") and line in shown]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.npz", npz(x=np.zeros(3))),
        ("x.json", npz(x=np.zeros(3))),
        ("x.npy", npy(np.zeros(3))),
        ("m.keras", keras_file()),
        ("m.h5", HDF5),
        ("m.weights.h5", HDF5),
        ("broken.npz", npz(x=np.zeros(3))[:60]),
    ],
)
def test_what_the_service_may_read_is_uploaded(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    refuse_other_files(tmp_path / name)


def _arrays_after_typing(path: Path, content: bytes) -> dict[str, list[object]]:
    """Type into a shell what `dataset add` says about a file, and return the arrays of the `.npz` that it makes."""
    path.write_bytes(content)
    with pytest.raises(click.ClickException) as caught:
        refuse_other_files(path)
    (line,) = [line.strip() for line in caught.value.message.splitlines() if line.startswith("    python -c ")]
    command = line.replace(str(path), path.name).replace("python", f"'{sys.executable}'", 1)
    subprocess.run(["sh", "-c", command], cwd=path.parent, check=True, capture_output=True)
    with np.load(path.with_suffix(".npz")) as arrays:
        return {name: arrays[name].tolist() for name in arrays}


def test_the_lines_make_a_data_set_of_json(tmp_path: Path) -> None:
    assert _arrays_after_typing(tmp_path / "t.json", json.dumps(ARRAYS).encode()) == ARRAYS


def test_the_lines_make_a_data_set_of_a_pickle(tmp_path: Path) -> None:
    content = pickle.dumps((np.array([[1.0], [2.0]]), np.array([0, 1])))
    assert _arrays_after_typing(tmp_path / "t.pkl", content) == {"x": [[1.0], [2.0]], "y": [0, 1]}
