from hypothesis import given
from hypothesis import strategies as st

from workers.supervisor.log_lines import MAX_LINE_LENGTH, LineSplitter


def cut(*chunks: bytes) -> list[str]:
    cutter = LineSplitter()
    return [line for chunk in chunks for line in cutter.feed(chunk)] + cutter.end()


def test_lines_are_put_together_from_chunks() -> None:
    assert cut(b"one\ntw", b"o\nthr", b"ee") == ["one", "two", "three"]


@given(st.lists(st.text(st.characters(exclude_categories=["C"]), max_size=20)), st.integers(1, 7))
def test_where_a_chunk_ends_makes_no_difference(lines: list[str], size: int) -> None:
    text = "".join(f"{line}\n" for line in lines).encode()
    assert cut(*(text[at : at + size] for at in range(0, len(text), size))) == lines


def test_a_progress_bar_leaves_its_last_state() -> None:
    bar = b"\r".join(b"\x1b[1m%d/23\x1b[0m" % step for step in range(24))
    assert cut(bar[:50], bar[50:], b" - loss: 0.5\n") == ["23/23 - loss: 0.5"]


def test_a_progress_bar_without_a_newline_is_not_kept_whole() -> None:
    cutter = LineSplitter()
    for step in range(10_000):
        assert cutter.feed(b"\r%d/10000 some words" % step) == []
    assert cutter.end() == ["9999/10000 some words"]


def test_an_endless_line_is_cut() -> None:
    lines = cut(*[b"x" * 1000] * 100)
    assert max(map(len, lines)) == MAX_LINE_LENGTH
    assert len(lines) > 5


def test_control_characters_and_broken_encodings_are_harmless() -> None:
    assert cut(b"a\x00b\x07c \xff\x1b[31mred\x1b[0m\tend\n") == ["abc �red\tend"]


def test_windows_line_ends_are_line_ends() -> None:
    assert cut(b"one\r\ntwo\r\n") == ["one", "two"]
