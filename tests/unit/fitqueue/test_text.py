"""Truncation of texts, removal of terminal colours, names in CSV and of files."""

import pytest

from fitqueue.text import about, csv_heading, estimate, local_file_name, strip_ansi, truncate


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


@pytest.mark.parametrize(
    ("name", "heading"),
    [("loss", "loss"), ("f1-score", "f1-score"), ("=1+1", "'=1+1"), ("@x", "'@x"), ("-a", "'-a"), ("+a", "'+a")],
)
def test_no_heading_is_a_formula(name: str, heading: str) -> None:
    assert csv_heading(name) == heading


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("ep003-0.123.weights.h5", "ep003-0.123.weights.h5"),
        ("模型-01.keras", "模型-01.keras"),
        ("../../etc/passwd", "_._.._etc_passwd"),
        ("a\\b", "a_b"),
        (".bashrc", "_bashrc"),
        ("12:00 <a|b>?.csv", "12_00 _a_b__.csv"),
        ("a\x1b[31m", "a_[31m"),
    ],
)
def test_a_file_name_is_safe_on_any_machine(name: str, file_name: str) -> None:
    assert local_file_name(name) == file_name


@pytest.mark.parametrize("letter", ["a", "模", "😀"])
def test_a_file_name_has_room_for_what_a_download_adds(letter: str) -> None:
    name = local_file_name(letter * 240 + ".weights.h5")
    assert name.endswith(f"{letter}.weights.h5")
    assert len(f".{name}.{'0' * 16}.part".encode()) <= 255
    assert len(local_file_name("." + letter * 300).encode()) <= 220


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "10 s"),
        (31.0, "40 s"),
        (55.0, "1 min"),
        (725.0, "12 min"),
        (3580.0, "1 h"),
        (3 * 3600 + 1190.0, "3 h 20 min"),
        (86_380.0, "1 d"),
        (53 * 3600.0, "2 d 5 h"),
    ],
)
def test_an_estimate_has_no_figures_that_nobody_knows(seconds: float, text: str) -> None:
    assert about(seconds) == text
    assert estimate(seconds, is_upper_bound=True) == f"at most {text}"
    assert estimate(seconds, is_upper_bound=False) == f"about {text}"
