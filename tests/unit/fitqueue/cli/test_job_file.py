"""`fitqueue submit` of a file that is not a job: what it says, and what becomes of the lines that it shows."""

import io
import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import yaml

from fitqueue.cli.job_file import read_job
from fitqueue.datasets import BUILTIN
from fitqueue.spec import parse_job
from tests.unit.fitqueue.cli.conftest import RefuseFile

MODEL: dict[str, Any] = {
    "class_name": "Sequential",
    "config": {
        "name": "m",
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8]}},
            {"class_name": "Flatten", "config": {}},
            {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
        ],
    },
}
FUNCTIONAL: dict[str, Any] = {
    "name": "f",
    "layers": [
        {
            "class_name": "InputLayer",
            "name": "i",
            "config": {"batch_shape": [None, 8, 8], "name": "i"},
            "inbound_nodes": [],
        },
        {"class_name": "Flatten", "name": "flat", "config": {"name": "flat"}, "inbound_nodes": [[["i", 0, 0, {}]]]},
        {
            "class_name": "Dense",
            "name": "d",
            "config": {"units": 10, "activation": "softmax", "name": "d"},
            "inbound_nodes": [[["flat", 0, 0, {}]]],
        },
    ],
    "input_layers": [["i", 0, 0]],
    "output_layers": [["d", 0, 0]],
}
JOB: dict[str, Any] = {
    "model": MODEL,
    "compile": {"optimizer": "adam", "loss": "sparse_categorical_crossentropy"},
    "data": {"dataset": "digits", "x": "x_train", "y": "y_train"},
}

SHOWN = {"id": "j", "state": "queued", "spec": JOB, "model": {"layers": []}}


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def keras_file() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(MODEL))
        archive.writestr("model.weights.h5", b"\x89HDF")
    return file.getvalue()


def zip_with(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return file.getvalue()


def torch_file() -> bytes:
    return zip_with("m/data.pkl", "m/version")


def excel_file() -> bytes:
    return zip_with("[Content_Types].xml", "xl/workbook.xml")


def in_json(value: Any) -> bytes:
    return json.dumps(value).encode()


TFJS = {
    "format": "layers-model",
    "modelTopology": {"keras_version": "2.4", "model_config": MODEL},
    "weightsManifest": [],
}
TFJS_TOPOLOGY = {"modelTopology": MODEL, "weightsManifest": []}
TFJS_GRAPH = {"format": "graph-model", "modelTopology": {"node": []}, "weightsManifest": []}
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(100)
TABLE = b"a,b,target\n1,2,3\n4,5,6\n"

NOT_JOBS: dict[str, tuple[str, bytes, str, str]] = {
    "model": ("model.json", in_json(MODEL), "a Keras model, which", "fitqueue submit job.json"),
    "model in a string": ("m.json", in_json(json.dumps(MODEL)), "a Keras model in a", "fitqueue submit job.json"),
    "layers": ("m.json", in_json(MODEL["config"]), "the configuration", "fitqueue submit job.json"),
    "functional layers": ("m.json", in_json(FUNCTIONAL), "the configuration", "fitqueue submit job.json"),
    ".keras": ("m.keras", keras_file(), "a saved Keras model", "fitqueue submit job.json"),
    ".keras under another name": ("m.json", keras_file(), "a saved Keras model", "fitqueue submit job.json"),
    ".h5": ("m.h5", HDF5, "a saved Keras model", "keras.saving.load_model('m.h5'"),
    "weights": ("best.weights.h5", HDF5, "a file of weights", "fitqueue dataset add best.weights.h5"),
    "TensorFlow.js": ("model.json", in_json(TFJS), "the model.json of", "fitqueue submit job.json"),
    "its topology": ("model.json", in_json(TFJS_TOPOLOGY), "the model.json of", "fitqueue submit job.json"),
    "its graph": ("model.json", in_json(TFJS_GRAPH), "a graph of", "fitqueue submit examples/digits_cnn.json"),
    "PyTorch": ("m.pt", torch_file(), "a file of PyTorch", "fitqueue submit examples/digits_cnn.json"),
    "PyTorch by its content": ("m", torch_file(), "a file of PyTorch", "fitqueue submit examples/digits_cnn.json"),
    "old PyTorch": ("m.pth", pickle.dumps([1], 2), "a file of PyTorch", "fitqueue submit examples/digits_cnn.json"),
    "SavedModel": ("saved_model.pb", b"\x08\x01\x12", "a graph of TensorFlow", "fitqueue submit examples/"),
    "TFLite": ("m.bin", b"\x1c\0\0\0TFL3" + bytes(9), "a model of TensorFlow Lite", "fitqueue submit examples/"),
    "ONNX": ("m.onnx", b'{"\x08', "an ONNX model", "fitqueue submit examples/digits_cnn.json"),
    "Parquet": ("t", b"PAR1\x15\x04", "a Parquet file", "fitqueue dataset add t.npz"),
    "Excel": ("t.xlsx", excel_file(), "an Excel file", "fitqueue dataset add t.npz"),
    "Excel by its content": ("t", excel_file(), "an Excel file", "fitqueue dataset add t.npz"),
    "TFRecord": ("t.tfrecord", b'"' + bytes(20), "a file of TFRecords", "fitqueue dataset add t.npz"),
    "script": ("train.py", b"x = 1\n", "a Python script", "python train.py"),
    "script by its content": ("train", b"# Train.\nimport keras\n", "a Python script", "python train"),
    "notebook": ("n.ipynb", in_json({"cells": [], "nbformat": 4}), "a notebook", "fitqueue.Client().submit("),
    "CSV": ("data.csv", TABLE, "a table", "fitqueue dataset add data.npz"),
    "CSV by its content": ("data", TABLE, "a table", "fitqueue dataset add data.npz"),
    "numbers only": ("data.txt", b"1;2\n3;4\n", "a table", "fitqueue dataset add data.npz"),
    ".npz": ("letters.npz", npz(x=np.zeros(3)), "a data set", "fitqueue dataset add letters.npz"),
    ".npy": ("x.npy", npy(np.zeros(3)), "a NumPy array", "fitqueue dataset add data.npz"),
    "pickle": ("m.pkl", pickle.dumps([1]), "a pickle", "fitqueue submit examples/digits_cnn.json"),
    "YAML": ("job.yaml", yaml.safe_dump(JOB).encode(), "YAML", "fitqueue submit job.json"),
    "TOML": ("job.toml", b'name = "a"\n', "TOML", "fitqueue submit job.json"),
    "list": ("jobs.json", in_json([JOB]), "a list", "fitqueue submit job.json"),
    "job as shown": ("shown.json", in_json(SHOWN), "a job as the service shows it", "fitqueue submit job.json"),
    "empty": ("job.json", b" \n", "empty", "fitqueue submit examples/digits_cnn.json"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "description", "line"), NOT_JOBS.values(), ids=NOT_JOBS)
def test_it_says_what_the_file_is_and_what_to_type(
    name: str, content: bytes, description: str, line: str, refuse_file: RefuseFile
) -> None:
    err = refuse_file(["submit", name], content)
    assert err.startswith(f"Error: {name} is {description}")
    assert [shown for shown in err.splitlines() if shown.startswith("    ") and line in shown]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("job.json", in_json(JOB)),
        ("job.py", in_json(JOB)),
        ("job.json", b"\xef\xbb\xbf" + in_json(JOB)),
        ("job.json", b"{broken"),
        ("job.json", b"[" * 50_000),
        ("job.json", in_json({"fit": {"epochs": 1}})),
        ("job.json", in_json({**JOB, "spec": {}, "class_name": "Sequential"})),
        ("job.json", in_json(JOB) + b" " * 10_000),
        ("notes.txt", b"Remember the milk.\nAnd the bread.\n"),
    ],
)
def test_whatever_may_be_a_job_is_sent_as_it_is(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with (tmp_path / name).open("rb") as file:
        assert read_job(file) == content


def test_a_large_table_is_not_read_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(TABLE * 10_000)
    with (tmp_path / "data.csv").open("rb") as file:
        with pytest.raises(click.ClickException):
            read_job(file)
        assert file.tell() < 10_000


@pytest.mark.parametrize("name", ["$(rm x).json", "a'b.json", 'a"b.json', "a b.json", "-n.json", "\x1b[31m.json"])
def test_a_name_that_a_shell_would_read_otherwise_is_not_shown(name: str) -> None:
    file = io.BytesIO(in_json(MODEL))
    file.name = name
    with pytest.raises(click.ClickException) as caught:
        read_job(file)
    assert caught.value.message.startswith("The job is a Keras model")
    assert "open('FILE')" in caught.value.message
    assert name not in caught.value.message


@pytest.fixture
def type_lines(tmp_path: Path) -> Callable[[str, bytes], None]:
    """A function that types into a shell what `submit` says about a file, apart from commands of `fitqueue`."""

    def type_them(name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        with (tmp_path / name).open("rb") as file, pytest.raises(click.ClickException) as caught:
            read_job(file)
        message = caught.value.message.replace(str(tmp_path / name), name)
        lines = [line.strip() for line in message.splitlines() if line.startswith("    python -c ")]
        assert lines
        for line in lines:
            command = line.replace("python", f"'{sys.executable}'", 1)
            subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True)

    return type_them


@pytest.mark.parametrize(
    "case",
    [
        "model",
        "model in a string",
        "layers",
        "functional layers",
        ".keras",
        "YAML",
        "job as shown",
        "TensorFlow.js",
        "its topology",
    ],
)
def test_the_lines_make_a_job(case: str, type_lines: Callable[[str, bytes], None], tmp_path: Path) -> None:
    name, content, *_ = NOT_JOBS[case]
    type_lines(name, content)
    body = json.loads((tmp_path / "job.json").read_text())
    spec = parse_job(body, lambda dataset: BUILTIN[dataset].info).spec
    assert spec.to_json()["model"]["config"]["layers"][-1]["config"]["units"] == 10


def test_the_lines_make_a_job_of_toml(type_lines: Callable[[str, bytes], None], tmp_path: Path) -> None:
    type_lines("job.toml", b'name = "a"\n[fit]\nepochs = 3\n')
    assert json.loads((tmp_path / "job.json").read_text()) == {"name": "a", "fit": {"epochs": 3}}


def test_the_lines_make_a_data_set_of_a_table(type_lines: Callable[[str, bytes], None], tmp_path: Path) -> None:
    type_lines("data.csv", TABLE)
    with np.load(tmp_path / "data.npz") as arrays:
        assert {name: arrays[name].tolist() for name in arrays} == {"x": [[1, 2], [4, 5]], "y": [3, 6]}


def test_the_lines_make_a_data_set_of_arrays(type_lines: Callable[[str, bytes], None], tmp_path: Path) -> None:
    (tmp_path / "TARGETS.npy").write_bytes(npy(np.ones(2)))
    type_lines("x.npy", npy(np.zeros((2, 3))))
    with np.load(tmp_path / "data.npz") as arrays:
        assert (arrays["x"].shape, arrays["y"].shape) == ((2, 3), (2,))
