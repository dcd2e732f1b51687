import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitqueue.errors import MalformedJSON
from fitqueue.spec.strict_json import MAX_DEPTH, parse_json

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_reads_what_python_writes(value: object, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200) | TEXT.map(str.encode))
def test_raises_nothing_else_whatever_comes(body: bytes) -> None:
    with contextlib.suppress(MalformedJSON):
        parse_json(body)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"a": 1,}', "line 1, column"),
        (b'{\n "a" 1}', "line 2, column 6"),
        (b"", "line 1, column 1"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e999]", "1e999"),
        (b"[99999999999999999999999]", "64 bits"),
        (b"[" + b"9" * 100_000 + b"]", "64 bits"),
        (b"[9223372036854775808]", "64 bits"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' stands twice"),
        (b'"\xff"', "UTF-8"),
        (b'"\\ud800"', "surrogate"),
        (b'{"a":\n "\\u0000"}', "line 2, column 2"),
        (b'"\x00"', "NUL"),
        (b'"\x01"', "control character"),
        (b"[" * 50_000 + b"]" * 50_000, f"deeper than {MAX_DEPTH}"),
        (b'{"a":' * 50_000, f"deeper than {MAX_DEPTH}"),
    ],
)
def test_refuses(body: bytes, says: str) -> None:
    with pytest.raises(MalformedJSON) as caught:
        parse_json(body)
    assert says.lower() in caught.value.message.lower()
    assert len(caught.value.message) < 300


def test_takes_what_is_deep_enough_and_brackets_in_strings() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert parse_json(b'"' + b"[" * 1000 + b'\\"[[[[["') == "[" * 1000 + '"[[[[['


def test_takes_a_whole_surrogate_pair_and_a_byte_order_mark() -> None:
    assert parse_json(b'\xef\xbb\xbf"\\ud83d\\ude00"') == "😀"


def test_a_long_body_of_quotes_takes_linear_time() -> None:
    began = time.process_time()
    with pytest.raises(MalformedJSON):
        parse_json(b'"\\u0041' * 200_000)
    assert time.process_time() - began < 20  # quadratic would take hours


def test_a_string_that_nobody_ends_is_read_once() -> None:
    # Were each quote in it tried as a beginning, this would take hours.
    with pytest.raises(MalformedJSON):
        parse_json(b'"' + rb"\"" * 4_000_000 + rb"\u0000")
