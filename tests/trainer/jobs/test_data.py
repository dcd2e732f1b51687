"""Arrays are loaded and prepared before they go to `fit`."""

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from fitqueue.datasets import BUILTIN, ArrayInfo
from fitqueue.spec.fields.data import DataSpec, PrepareStep, prepared_info
from workers.keras_tools.npz import DataError, DataUnreadable, read_npz
from workers.trainer import data
from workers.trainer.data import load, prepare


def steps(*raw: dict[str, Any]) -> list[PrepareStep]:
    return [PrepareStep.model_validate(step) for step in raw]


def test_scaling_equals_the_division_in_a_plain_script() -> None:
    pixels = np.arange(256, dtype="uint8").reshape(16, 16)
    plain = (pixels * 0.00392156862745098).astype("float32")
    assert np.array_equal(prepare(pixels, steps({"scale": 0.00392156862745098}), "x"), plain)


def test_large_arrays_are_computed_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_CHUNK_VALUES", 7)
    pixels = np.arange(100, dtype="uint8").reshape(4, 25)
    assert np.array_equal(prepare(pixels, steps({"scale": 0.5}, {"offset": 1.0}), "x"), pixels * 0.5 + 1)


def test_one_hot_equals_keras() -> None:
    labels = np.array([[3], [0], [9]], dtype="uint8")
    assert np.array_equal(prepare(labels, steps({"one_hot": 10}), "y"), keras.utils.to_categorical(labels, 10))


def test_sequences_are_padded_as_by_keras() -> None:
    ragged = np.array([[1, 2, 3], [4]], dtype=object)
    padded = prepare(ragged, steps({"pad_sequences": {"maxlen": 2, "truncating": "post"}}), "x")
    assert padded.tolist() == [[1, 2], [0, 4]]


@pytest.mark.parametrize(
    ("shape", "dtype", "raw"),
    [
        ((6, 8, 8), "uint8", [{"reshape": [8, 8, 1]}, {"scale": 0.1}]),
        ((6, 8, 8), "uint8", [{"reshape": [-1]}, {"astype": "int32"}]),
        ((6,), "int64", [{"one_hot": 4}]),
        ((6, 1), "int64", [{"one_hot": 4}, {"offset": 0.5}]),
        ((6, 3), "float64", [{"offset": -1.0}]),
    ],
)
def test_shape_and_dtype_are_those_that_the_parser_predicts(shape: Any, dtype: str, raw: list[dict[str, Any]]) -> None:
    prepared = prepare(np.ones(shape, dtype), steps(*raw), "x")
    assert prepared_info(ArrayInfo(shape, dtype), steps(*raw)) == ArrayInfo(prepared.shape, str(prepared.dtype))


def test_a_step_that_fails_is_named() -> None:
    with pytest.raises(DataError, match=r"The step 'reshape' of data.prepare.x failed on an array of shape \(2, 3\)"):
        prepare(np.zeros((2, 3)), steps({"reshape": [5]}), "x")


def test_arrays_of_different_lengths(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=np.zeros(4))
    with pytest.raises(DataError, match="'x' has 3 samples and 'y' has 4"):
        load(DataSpec(dataset="mine", x="x", y="y"), tmp_path / "a.npz")


def test_arrays_without_samples(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((0, 2)), y=np.zeros(0))
    with pytest.raises(DataError, match="no samples"):
        load(DataSpec(dataset="mine", x="x", y="y"), tmp_path / "a.npz")


def test_a_missing_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(DataError, match=r"The data set has no array named 'y'; it has 'x'\."):
        load(DataSpec(dataset="mine", x="x", y="y"), tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"PK\x05\x06"])
def test_a_file_that_is_not_an_npz(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataUnreadable, match="cannot be read"):
        load(DataSpec(dataset="mine", x="x", y="y"), tmp_path / "a.npz")


@pytest.mark.parametrize("dtype", [">f4", ">i8", "<u2", "|b1", ">f8"])
def test_any_order_of_axes_and_bytes_is_read(dtype: str, tmp_path: Path) -> None:
    written = np.asfortranarray(np.arange(6).reshape(2, 3).astype(dtype))
    np.savez(tmp_path / "a.npz", **{"0": written, "scalar": np.array(1, dtype)})
    read = read_npz(tmp_path / "a.npz", ["0", "scalar"])
    assert np.array_equal(read["0"], written)
    assert read["0"].dtype.isnative
    assert read["0"].flags.c_contiguous
    assert read["scalar"].shape == ()


def test_a_single_npy_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npz.npy", np.arange(3, dtype=">i4"))
    loaded = load(DataSpec(dataset="mine", x="arr_0", y="arr_0"), tmp_path / "a.npz.npy")
    assert isinstance(loaded.train.x, np.ndarray)
    assert loaded.train.x.tolist() == [0, 1, 2]
    with pytest.raises(DataError, match=r"The data set has no array named 'x'; it has 'arr_0'\."):
        read_npz(tmp_path / "a.npz.npy", ["x"])


def test_a_member_without_the_ending_of_an_array_is_never_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones(2))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("x", (tmp_path / "a.npz").read_bytes())
    assert read_npz(tmp_path / "a.npz", ["x"])["x"].tolist() == [1, 1]


def test_the_built_in_digits_match_their_description() -> None:
    validation = {"x": "x_test", "y": "y_test"}
    spec = DataSpec.model_validate({"dataset": "digits", "x": "x_train", "y": "y_train", "validation": validation})
    loaded = load(spec, None)
    assert loaded.validation is not None
    arrays = [array for samples in (loaded.train, loaded.validation) for array in (samples.x, samples.y)]
    infos = BUILTIN["digits"].info.arrays
    described = [infos[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    assert [(array.shape, array.dtype) for array in arrays] == [(info.shape, info.dtype) for info in described]


def test_the_message_of_a_failed_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable() -> None:
        raise Exception("URL fetch failure on https://example.org/mnist.npz: None -- Name or service not known")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", unreachable)
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    with pytest.raises(DataError) as raised:
        load(DataSpec(dataset="mnist", x="x_train", y="y_train"), None)
    assert "URL fetch failure" in str(raised.value)
    assert f"put the file that Keras asks for into {tmp_path}/datasets" in str(raised.value)
    assert "fitqueue dataset add" in str(raised.value)
