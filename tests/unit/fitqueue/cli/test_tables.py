"""Tables and paragraphs in a width: words stay whole, and columns go before figures do."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from fitqueue.cli.tables import Column, lay_out, wrap

WORDS = st.lists(st.text("abc.é模", min_size=1, max_size=9), max_size=12)


def plain(columns: list[Column], rows: list[list[str]], width: int | None) -> list[str]:
    return [line.plain for line in lay_out(columns, [[Text(text) for text in row] for row in rows], width).lines]


@given(WORDS, st.integers(18, 60))
def test_words_stay_whole_where_they_can(words: list[str], width: int) -> None:
    lines = wrap(" ".join(words), width)
    assert " ".join(lines).split() == words
    assert all(cell_len(line) <= width for line in lines)


def test_what_belongs_together_stays_together() -> None:
    lines = ["takes 40.1 GB", "of", "(any, 28, 28)", "at 97 %"]
    assert wrap("takes 40.1 GB of (any, 28, 28) at 97 %", 13) == lines
    assert wrap("Follow it: fitqueue watch job_01", 26) == ["Follow it:", "fitqueue watch job_01"]


def test_a_word_that_is_longer_than_a_line_is_broken_where_it_must_be() -> None:
    assert wrap("a " + "x" * 25, 10) == ["a", "x" * 25]
    assert wrap("a " + "x" * 25, 10, breaks=True) == ["a", "x" * 10, "x" * 10, "x" * 5]
    assert wrap("模型模型模", 5, breaks=True) == ["模型", "模型", "模"]


def test_columns_go_by_their_rank_and_the_first_one_never() -> None:
    columns = [Column("ID"), Column("A", rank=2), Column("B", rank=1)]
    rows = [["x" * 10, "y" * 10, "z" * 10]]
    assert plain(columns, rows, 34)[1] == f"{'x' * 10}  {'y' * 10}  {'z' * 10}"
    assert plain(columns, rows, 33)[1] == f"{'x' * 10}  {'z' * 10}"
    assert plain(columns, rows, 5)[1] == "x" * 10
    assert lay_out(columns, [[Text(text) for text in rows[0]]], 33).left_out == ["A"]


def test_columns_that_are_empty_everywhere_are_left_out() -> None:
    columns = [Column("ID"), Column("A"), Column("B")]
    assert plain(columns, [["1", "", "x"], ["2", "", ""]], None) == ["ID  B", "1   x", "2"]
    assert plain(columns, [], None) == ["ID  A  B"]


def test_the_room_that_is_left_goes_to_the_text() -> None:
    columns = [Column("ID"), Column("TEXT", wraps=True), Column("NUMBER")]
    rows = [["1", "one two three four five six", "0.125"]]
    assert plain(columns, rows, 30) == [
        "ID  TEXT                NUMBER",
        "1   one two three four  0.125",
        "    five six",
    ]


def test_pairs_stand_below_each_other_before_their_column_goes() -> None:
    columns = [Column("ID"), Column("BEST", wraps=True, narrow=True, rank=1), Column("AGE", rank=2)]
    rows = [["x" * 10, "val_loss 0.1235", "3 min"]]
    assert plain(columns, rows, 34)[1:] == [f"{'x' * 10}  val_loss 0.1235  3 min"]
    assert plain(columns, rows, 33)[1:] == [f"{'x' * 10}  val_loss 0.1235"]
    assert plain(columns, rows, 26)[1:] == [f"{'x' * 10}  val_loss", f"{' ' * 12}0.1235"]
    assert plain(columns, rows, 19)[1:] == ["x" * 10]
