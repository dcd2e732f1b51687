"""Tables hold words and figures; what needs a sentence stands in a paragraph or a list."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.unit.docs.pages import PAGES, ROOT, table_rows

MAX_WORDS: Final = 10


def is_prose(cell: str) -> bool:
    """Return whether a cell holds a sentence, or a word with an explanation."""
    words = re.sub(r"`[^`]*`", "`code`", cell)
    return words.endswith((".", "!")) or "; " in words or ": " in words or len(words.split()) > MAX_WORDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_cell_holds_prose(page: Path) -> None:
    assert [cell for row in table_rows(page.read_text()) for cell in row if is_prose(cell)] == []
