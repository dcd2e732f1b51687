"""Reads the documents: their sections, tables and lists."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")),
        ROOT / "fitqueue" / "datasets" / "README.md",
        *DOCS.glob("*.md"),
    ]
)
"""All documents, as people read them."""


def text_of(name: str) -> str:
    """Return the text of a page in `docs/`."""
    return (DOCS / name).read_text()


def section(text: str, heading: str, level: int = 2) -> str:
    """Return the text below a heading, up to the next heading of the same or a higher level."""
    marks = "#" * level
    _, found, rest = f"\n{text}".partition(f"\n{marks} {heading}\n")
    assert found, f"there is no heading '{marks} {heading}'"
    return re.split(rf"^#{{1,{level}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def without_code(text: str) -> str:
    """Return the text without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def table_rows(text: str) -> list[list[str]]:
    """Return the cells of each row of the tables in a text, without the rows of their headings."""
    rows = []
    for table in re.findall(r"(?:^\|.*\|\n)+", f"{without_code(text)}\n", re.MULTILINE):
        rows += [[cell.strip() for cell in row[1:-1].split("|")] for row in table.splitlines()[2:]]
    return rows


def list_items(text: str) -> dict[str, str]:
    """Return the items of the form «- `name`: text» in a text, by name, each text on one line."""
    items = re.findall(r"^- `([^`]+)`:\s+((?:.|\n  )*)", without_code(text), re.MULTILINE)
    return {name: " ".join(item.split()) for name, item in items}
