"""Truncation of texts and removal of terminal colours."""

import pytest

from fitqueue.text import strip_ansi, truncate


@pytest.mark.parametrize(
    ("text", "tail", "truncated"),
    [
        ("abcdef", 0, "abcdef"),
        ("abcdefg", 0, "abcde…"),
        ("abcdef", 2, "abcdef"),
        ("abcdefg", 2, "abc…fg"),
        ("", 0, ""),
    ],
)
def test_a_text_is_truncated_to_six_characters(text: str, tail: int, truncated: str) -> None:
    assert truncate(text, 6, tail=tail) == truncated


def test_colours_are_removed() -> None:
    assert strip_ansi("\x1b[1;31mred\x1b[0m and \x1b[?25lhidden") == "red and hidden"
