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
def test_what_python_writes_is_read_back(value: object, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200) | TEXT.map(str.encode))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    with contextlib.suppress(MalformedJSON):
        parse_json(body)


@pytest.mark.parametrize(
    ("body", "message"),
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
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' occurs twice"),
        (b'"\xff"', "UTF-8"),
        (b'"\\ud800"', "surrogate"),
        (b'{"a":\n "\\u0000"}', "line 2, column 2"),
        (b'"\x00"', "NUL"),
        (b'"\x01"', "control character"),
        (b"[" * 50_000 + b"]" * 50_000, f"deeper than {MAX_DEPTH}"),
        (b'{"a":' * 50_000, f"deeper than {MAX_DEPTH}"),
    ],
)
def test_malformed_json_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(MalformedJSON) as raised:
        parse_json(body)
    assert message.lower() in raised.value.message.lower()
    assert len(raised.value.message) < 300


def test_the_deepest_nesting_and_brackets_in_strings_are_accepted() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert parse_json(b'"' + b"[" * 1000 + b'\\"[[[[["') == "[" * 1000 + '"[[[[['


def test_a_surrogate_pair_and_a_byte_order_mark_are_accepted() -> None:
    assert parse_json(b'\xef\xbb\xbf"\\ud83d\\ude00"') == "😀"


def test_a_long_body_of_quotes_is_parsed_in_linear_time() -> None:
    started_at = time.process_time()
    with pytest.raises(MalformedJSON):
        parse_json(b'"\\u0041' * 200_000)
    assert time.process_time() - started_at < 20  # quadratic would take hours


def test_an_unterminated_string_is_scanned_once() -> None:
    # Trying each of its quotes as the start of a string would take hours.
    with pytest.raises(MalformedJSON):
        parse_json(b'"' + rb"\"" * 4_000_000 + rb"\u0000")
