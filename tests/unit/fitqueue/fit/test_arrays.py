"""Arrays as Keras feeds them, without Keras. `tests/trainer/fit` compares them with Keras's own."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fitqueue.fit.arrays import NotNumbers, by_names, is_several, to_array
from fitqueue.spec.findings import Findings, Pointer

ROWS = [[1, 2], [3, 4]]


class Tensor:
    """What a tensor of PyTorch has."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def detach(self) -> "Tensor":
        return self

    def cpu(self) -> "Tensor":
        return self

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.array


class Sparse:
    def tocsr(self) -> None: ...


class RaggedTensor:
    def to_tensor(self) -> None: ...


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble", ">f4"])
def test_floating_point_numbers_become_floatx(dtype: str) -> None:
    array = to_array(np.array(ROWS, dtype), "float32")
    assert str(array.dtype) == "float32"
    assert array.tolist() == ROWS
    assert str(to_array(np.array(ROWS, dtype), "float64").dtype) == "float64"


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_other_numbers_stay_as_they_are(dtype: str) -> None:
    array = to_array(np.array(ROWS, dtype), "float32")
    assert str(array.dtype) == dtype
    assert (array == np.array(ROWS, dtype)).all()


def test_the_order_of_bytes_is_the_machines() -> None:
    array = to_array(np.array(ROWS, ">i4"), "float32")
    assert (str(array.dtype), array.tolist()) == ("int32", ROWS)


def test_an_array_of_the_right_dtype_is_not_copied() -> None:
    array = np.array(ROWS, "float32")
    assert to_array(array, "float32") is array


@pytest.mark.parametrize("value", [ROWS, tuple(ROWS), [np.array(row) for row in ROWS], Tensor(np.array(ROWS))])
def test_what_is_no_array_yet(value: Any) -> None:
    assert to_array(value, "float32").tolist() == ROWS


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), "float32", [[1, 0.5], [2, 1.5]]),
        (pd.DataFrame({"a": [1, 2], "b": [3, 4]}), "int64", [[1, 3], [2, 4]]),
        (pd.DataFrame({"a": [True, False], "b": [3, 4]}), "int64", [[1, 3], [0, 4]]),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), "int64", [[1, 2], [3, 4]]),
        (pd.DataFrame({"a": [1, 2]}, index=[7, 3]), "int64", [[1], [2]]),
        (pd.Series([1.5, 2.5]), "float32", [[1.5], [2.5]]),
        (pl.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), "float32", [[1, 0.5], [2, 1.5]]),
        (pl.DataFrame({"a": [1, 2], "b": [3, 4]}), "int64", [[1, 3], [2, 4]]),
        (pl.Series([1, 2]), "int64", [[1], [2]]),
    ],
)
def test_frames(value: Any, dtype: str, expected: Any) -> None:
    array = to_array(value, "float32")
    assert (str(array.dtype), array.tolist()) == (dtype, expected)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([["a"]]), "its values are text, and not numbers: encode them as numbers first"),
        (np.array([b"a"]), "its values are text, and not numbers: encode them as numbers first"),
        (np.array(["a", "b"], object), "its values are text, and not numbers: encode them as numbers first"),
        (np.array([1, None, "a"], object), "its values are objects (NoneType, int, str), and not numbers"),
        (np.array(["2020-01-01"], "M8[D]"),
         "its values are dates, and not numbers: send them as numbers, such as seconds"),
        (np.array([1 + 2j]), "its values are complex numbers, and not numbers: send their real and imaginary parts"),
        ([[1], [1, 2]], "its rows have unequal lengths: use keras.utils.pad_sequences first"),
        (Sparse(), "it is a sparse matrix: send `x.toarray()`"),
        (RaggedTensor(), "it is a RaggedTensor: convert it to a dense array first"),
        (3.5, "it is a single number, and not an array"),
        (len, "it is a builtin_function_or_method, and not an array of numbers"),
        (pd.DataFrame({"a": [1], "b": ["x"], "c": ["y"]}),
         "its columns ['b', 'c'] are not numbers: leave them out, or encode them"),
        (pl.DataFrame({"a": [1], "b": ["x"]}), "its columns ['b'] are not numbers: leave them out, or encode them"),
    ],
)  # fmt: skip
def test_what_is_no_array_of_numbers(value: Any, words: str) -> None:
    with pytest.raises(NotNumbers) as caught:
        to_array(value, "float32")
    assert str(caught.value) == words


# --- Several inputs or outputs -------------------------------------------------------------------------------------

A, B = np.zeros((2, 1)), np.ones((2, 1))


@pytest.mark.parametrize("value", [{"a": A, "b": B}, {"b": B, "a": A}, [A, B], (A, B)])
def test_arrays_by_names_or_in_order(value: Any) -> None:
    findings = Findings()
    arrays = by_names(value, ["a", "b"], "x", "float64", Pointer(findings))
    assert not findings.faults
    assert list(arrays) == ["a", "b"]
    assert (arrays["a"] == A).all()
    assert (arrays["b"] == B).all()


@pytest.mark.parametrize("value", [A, [A], {"only": A}, A.tolist()])
def test_a_single_array(value: Any) -> None:
    assert by_names(value, ["only"], "x", "float64", Pointer(Findings()))["only"].tolist() == A.tolist()


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        ({"a": A}, "unknown_name", "x has the keys ['a'], and the model needs ['a', 'b']."),
        ({"a": A, "c": B}, "unknown_name", "x has the keys ['a', 'c'], and the model needs ['a', 'b']."),
        ({"a": A, "b": None}, "unknown_name", "x has the keys ['a', 'b'], and the model needs ['a', 'b']."),
        ([A], "bad_shape", "The model has 2 of them, ['a', 'b'], and x has 1."),
        (A, "bad_shape", "The model has 2 of them, ['a', 'b'], and x has one array."),
        ({"a": A, "b": np.array(["t", "u"])}, "wrong_type",
         "x['b'] cannot be sent: its values are text, and not numbers: encode them as numbers first."),
    ],
)  # fmt: skip
def test_wrong_arrays(value: Any, code: str, message: str) -> None:
    findings = Findings()
    by_names(value, ["a", "b"], "x", "float32", Pointer(findings, "/data/x"))
    assert [(fault.pointer, fault.code, fault.message) for fault in findings.faults] == [("/data/x", code, message)]


def test_some_outputs_may_have_no_weights() -> None:
    findings = Findings()
    for value in ({"b": B}, [None, B]):
        assert list(by_names(value, ["a", "b"], "x", "float32", Pointer(findings), is_partial=True)) == ["b"]
    assert not findings.faults


@pytest.mark.parametrize(
    ("value", "expected"), [(A, False), ([1.0, 2.0], False), ([A, B], True), ({"a": A}, True), ([None, B], True)]
)
def test_one_array_for_all_or_one_for_each(value: Any, expected: bool) -> None:
    assert is_several(value, ["a", "b"]) is expected
    assert not is_several(value, ["a"])
