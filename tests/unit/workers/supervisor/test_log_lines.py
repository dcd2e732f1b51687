from hypothesis import given
from hypothesis import strategies as st

from workers.supervisor.log_lines import MAX_LINE_LENGTH, LineSplitter


def split(*chunks: bytes) -> list[str]:
    splitter = LineSplitter()
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.close()


def test_lines_are_joined_from_chunks() -> None:
    assert split(b"one\ntw", b"o\nthr", b"ee") == ["one", "two", "three"]


@given(st.lists(st.text(st.characters(exclude_categories=["C"]), max_size=20)), st.integers(1, 7))
def test_it_does_not_matter_where_a_chunk_ends(lines: list[str], size: int) -> None:
    text = "".join(f"{line}\n" for line in lines).encode()
    assert split(*(text[start : start + size] for start in range(0, len(text), size))) == lines


def test_a_progress_bar_leaves_its_last_state() -> None:
    bar = b"\r".join(b"\x1b[1m%d/23\x1b[0m" % step for step in range(24))
    assert split(bar[:50], bar[50:], b" - loss: 0.5\n") == ["23/23 - loss: 0.5"]


def test_a_progress_bar_without_a_newline_is_not_kept_whole() -> None:
    splitter = LineSplitter()
    for step in range(10_000):
        assert splitter.feed(b"\r%d/10000 some words" % step) == []
    assert splitter.close() == ["9999/10000 some words"]


def test_an_endless_line_is_split() -> None:
    lines = split(*[b"x" * 1000] * 100)
    assert max(map(len, lines)) == MAX_LINE_LENGTH
    assert len(lines) > 5


def test_control_characters_and_broken_encodings_are_harmless() -> None:
    assert split(b"a\x00b\x07c \xff\x1b[31mred\x1b[0m\tend\n") == ["abc �red\tend"]


def test_windows_line_ends_are_line_ends() -> None:
    assert split(b"one\r\ntwo\r\n") == ["one", "two"]
