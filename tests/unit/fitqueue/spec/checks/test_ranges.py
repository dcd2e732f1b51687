"""numpy is the oracle for where values lie after each step."""

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


def applied(array: np.ndarray, step: PrepareStep) -> np.ndarray:
    if step.scale is not None:
        return array.astype("float32") * step.scale
    if step.offset is not None:
        return array.astype("float32") + step.offset
    return array.astype(step.astype) if step.astype is not None else array


@given(st.lists(st.integers(-100, 100), min_size=1), st.lists(STEPS, max_size=3))
def test_the_range_is_that_of_the_prepared_array(values: list[int], steps: list[PrepareStep]) -> None:
    array = np.array(values)
    found = ranges_before(Range(min(values), max(values)), steps)
    for step, known in zip([None, *steps], found, strict=True):
        array = array if step is None else applied(array, step)
        if known is not None:
            assert (known.low, known.high) == (array.min(), array.max())
            assert not known.whole or (array == array.round()).all()


@pytest.mark.parametrize(
    "steps",
    [[PrepareStep(one_hot=300)], [PrepareStep(astype="uint8")], [PrepareStep(pad_sequences={"maxlen": 3})]],
    ids=lambda steps: steps[0].kind,
)
def test_what_cannot_be_told(steps: list[PrepareStep]) -> None:
    assert ranges_before(Range(0, 299), steps)[-1] is None


def test_what_is_not_known_stays_so() -> None:
    assert ranges_before(None, [PrepareStep(scale=2.0)]) == [None, None]


def test_it_is_shown_as_people_write_it() -> None:
    assert (str(Range(0, 9)), str(Range(0.0, 4.5)), str(Range(1, 88_586))) == ("0 to 9", "0 to 4.5", "1 to 88586")
