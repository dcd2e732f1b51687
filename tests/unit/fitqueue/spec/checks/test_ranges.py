"""The range of values after each step; NumPy is the oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitqueue.spec import PrepareStep
from fitqueue.spec.checks.ranges import Range, ranges_before

STEPS = st.one_of(
    st.builds(lambda value: PrepareStep(scale=value), st.sampled_from([2.0, -1.0, 0.5])),
    st.builds(lambda value: PrepareStep(offset=value), st.sampled_from([1.0, -3.0, 0.25])),
    st.builds(lambda value: PrepareStep(astype=value), st.sampled_from(["int8", "uint8", "int32", "float32"])),
    st.just(PrepareStep(reshape=[-1])),
)


def apply(array: np.ndarray, step: PrepareStep) -> np.ndarray:
    if step.scale is not None:
        return array.astype("float32") * step.scale
    if step.offset is not None:
        return array.astype("float32") + step.offset
    return array.astype(step.astype) if step.astype is not None else array


@given(st.lists(st.integers(-100, 100), min_size=1), st.lists(STEPS, max_size=3))
def test_the_range_agrees_with_the_prepared_array(values: list[int], steps: list[PrepareStep]) -> None:
    array = np.array(values)
    ranges = ranges_before(Range(min(values), max(values)), steps)
    for step, expected in zip([None, *steps], ranges, strict=True):
        array = array if step is None else apply(array, step)
        if expected is not None:
            assert (expected.low, expected.high) == (array.min(), array.max())
            assert not expected.integral or (array == array.round()).all()


@pytest.mark.parametrize(
    "steps",
    [[PrepareStep(one_hot=300)], [PrepareStep(astype="uint8")], [PrepareStep(pad_sequences={"maxlen": 3})]],
    ids=lambda steps: steps[0].kind,
)
def test_the_range_after_some_steps_is_unknown(steps: list[PrepareStep]) -> None:
    assert ranges_before(Range(0, 299), steps)[-1] is None


def test_an_unknown_range_stays_unknown() -> None:
    assert ranges_before(None, [PrepareStep(scale=2.0)]) == [None, None]


def test_a_range_is_shown_without_needless_digits() -> None:
    assert (str(Range(0, 9)), str(Range(0.0, 4.5)), str(Range(1, 88_586))) == ("0 to 9", "0 to 4.5", "1 to 88586")
