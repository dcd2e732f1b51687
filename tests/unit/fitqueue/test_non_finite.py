"""Words for the numbers that JSON lacks."""

import math
import struct

import pytest

from fitqueue.non_finite import word_of


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_python_reads_the_word_as_the_number(value: float) -> None:
    word = word_of(value)
    assert word is not None
    assert struct.pack("d", float(word)) == struct.pack("d", value)


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, -1e308, 5e-324])
def test_a_finite_number_has_no_word(value: float) -> None:
    assert word_of(value) is None
