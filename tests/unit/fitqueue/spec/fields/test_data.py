"""The effect of preparation steps on shapes and dtypes; NumPy and Keras's own utilities are the oracles."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from fitqueue.datasets import BUILTIN, ArrayInfo, ArrayValues
from fitqueue.spec import PrepareStep, prepared_info
from fitqueue.spec.fields.data import StepError

IMAGES = ArrayInfo((10, 8, 8), "uint8")
WORDS = ArrayInfo((10, None), "int64")


def step(**key: object) -> PrepareStep:
    return PrepareStep.model_validate(key)


@given(st.lists(st.integers(1, 6), max_size=4), st.lists(st.integers(1, 6) | st.just(-1), max_size=4))
def test_reshape_agrees_with_numpy(sample: list[int], shape: list[int]) -> None:
    assume(math.prod(sample) > 0)
    array = np.zeros((2, *sample), np.float32)
    try:
        expected = array[0].reshape(shape).shape
    except ValueError:
        with pytest.raises(StepError):
            prepared_info(ArrayInfo(array.shape, "float32"), [step(reshape=shape)])
    else:
        assert prepared_info(ArrayInfo(array.shape, "float32"), [step(reshape=shape)]).shape == (2, *expected)


@pytest.mark.parametrize(
    ("array", "steps", "shape", "dtype"),
    [
        (IMAGES, [step(reshape=[8, 8, 1]), step(scale=1 / 16)], (10, 8, 8, 1), "float32"),
        (IMAGES, [step(reshape=[-1])], (10, 64), "uint8"),
        (IMAGES, [step(astype="int32")], (10, 8, 8), "int32"),
        (IMAGES, [step(offset=-8)], (10, 8, 8), "float32"),
        (ArrayInfo((10,), "uint8"), [step(one_hot=10)], (10, 10), "float32"),
        (ArrayInfo((10, 1), "uint8"), [step(one_hot=10)], (10, 10), "float32"),
        (ArrayInfo((10, 5), "int64"), [step(one_hot=3)], (10, 5, 3), "float32"),
        (WORDS, [step(pad_sequences={"maxlen": 20})], (10, 20), "int32"),
        (WORDS, [], (10, None), "int64"),
    ],
)
def test_steps_give_these_shapes_and_dtypes(
    array: ArrayInfo, steps: list[PrepareStep], shape: tuple[int, ...], dtype: str
) -> None:
    assert prepared_info(array, steps) == ArrayInfo(shape, dtype)


@pytest.mark.parametrize(
    ("array", "steps", "index", "message"),
    [
        (IMAGES, [step(scale=2), step(reshape=[7, 7])], 1, "64 values"),
        (IMAGES, [step(reshape=[-1, -1])], 0, "at most one may be -1"),
        (ArrayInfo((10,), "float32"), [step(one_hot=10)], 0, "whole numbers"),
        (IMAGES, [step(pad_sequences={"maxlen": 5})], 0, "one sequence per sample"),
        (WORDS, [step(scale=2)], 0, "pad_sequences first"),
        (WORDS, [step(reshape=[2, 2])], 0, "pad_sequences first"),
    ],
)
def test_steps_that_cannot_be_applied(array: ArrayInfo, steps: list[PrepareStep], index: int, message: str) -> None:
    with pytest.raises(StepError, match=message) as raised:
        prepared_info(array, steps)
    assert raised.value.index == index


@pytest.mark.parametrize("keys", [{}, {"scale": 1.0, "offset": 1.0}, {"scale": None}, {"resize": [2]}])
def test_a_step_has_exactly_one_key(keys: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PrepareStep.model_validate(keys)


def test_a_step_is_stored_with_its_only_key() -> None:
    assert step(reshape=[8, 8, 1]).model_dump(mode="json") == {"reshape": [8, 8, 1]}


def test_the_shipped_digits_match_their_description() -> None:
    digits = BUILTIN["digits"]
    assert digits.path is not None
    with np.load(digits.path, allow_pickle=False) as arrays:
        infos = {
            name: ArrayInfo(array.shape, str(array.dtype), ArrayValues(int(array.min()), int(array.max())))
            for name, array in arrays.items()
        }
        assert sorted(set(arrays["y_test"].tolist())) == list(range(10))
    assert infos == digits.info.arrays


def test_each_built_in_data_set_has_one_source() -> None:
    for name, dataset in BUILTIN.items():
        assert dataset.info.name == name
        assert (dataset.path is None) != (dataset.keras_module is None)
