"""What is collected of the values of uploaded arrays, compared with what NumPy computes of whole arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fitqueue.datasets import MAX_CLASSES, ArrayValues, ClassCount
from service import npz
from service.npz import values

LIMIT = 10**9


@pytest.fixture
def values_of(tmp_path: Path) -> Any:
    """Return a function that uploads an array, and returns its values."""

    def values_of(array: Any) -> ArrayValues:
        np.savez(tmp_path / "a.npz", x=array)
        collected = npz.inspect(tmp_path / "a.npz", LIMIT).arrays["x"].values
        assert collected is not None
        return collected

    return values_of


def _classes(labels: Any) -> tuple[ClassCount, ...]:
    """Count classes in a way that can be checked by reading it."""
    found = [int(label) for label in labels]
    last = len(found) - 1
    return tuple(
        ClassCount(label, found.count(label), found.index(label), last - found[::-1].index(label))
        for label in dict.fromkeys(found)
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    array=arrays.arrays(
        st.sampled_from(["bool", "int8", "uint64", "int64", "float16", "float32", "float64", ">i2", ">f4"]),
        arrays.array_shapes(min_dims=1, max_dims=3, max_side=9),
    ),
    in_fortran_order=st.booleans(),
)
def test_values_are_those_that_numpy_computes(array: Any, in_fortran_order: bool, values_of: Any) -> None:
    array = np.asfortranarray(array) if in_fortran_order else array
    collected = values_of(array)
    finite = array[np.isfinite(array)]
    assert collected.low == (finite.min() if finite.size else None)
    assert collected.high == (finite.max() if finite.size else None)
    assert collected.integral == (finite.dtype.kind != "f" or (finite == np.trunc(finite)).all())
    assert collected.nan == np.isnan(array).sum()
    assert collected.infinite == np.isinf(array).sum()


@pytest.mark.parametrize("chunk", [8, 24, 1024**2])
@pytest.mark.parametrize("dtype", ["int64", "float64", "uint8", "bool", ">i4"])
@pytest.mark.parametrize("axes", [1, 2])
def test_classes_are_counted_whatever_the_size_of_a_chunk(
    chunk: int, dtype: str, axes: int, values_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "_CHUNK", chunk)
    labels = np.array([3, 3, 1, 3, 2, 1, 0, 0, 1]).astype(dtype)
    assert values_of(labels.reshape(-1, *[1] * (axes - 1))).classes == _classes(labels)


@pytest.mark.parametrize("chunk", [32, 100, 1024**2])
def test_classes_are_counted_in_one_hot_rows(chunk: int, values_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "_CHUNK", chunk)
    labels = np.arange(40) // 10
    collected = values_of(np.eye(4, dtype="float32")[labels])
    assert (collected.classes, collected.labels_per_sample) == (_classes(labels), 1)
    rows = np.eye(4)[labels]
    rows[7] = [1, 1, 0, 1]
    collected = values_of(rows)
    assert (collected.classes, collected.labels_per_sample) == (None, 3)
    rows[8] = 2
    collected = values_of(rows)
    assert (collected.classes, collected.labels_per_sample) == (None, None)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(MAX_CLASSES + 1),
        np.array([0.5, 1.0]),
        np.array([1.0, np.nan]),
        np.array([2.0**60]),
        np.array([np.iinfo("int64").min]),
        np.zeros((4, 2, 2), "uint8"),
        np.zeros(0),
        np.float32(1),
    ],
    ids=repr,
)
def test_other_arrays_have_no_classes(array: Any, values_of: Any) -> None:
    assert values_of(array).classes is None


def test_as_many_classes_as_are_counted(values_of: Any) -> None:
    labels = np.arange(MAX_CLASSES)
    assert values_of(labels).classes == _classes(labels)
