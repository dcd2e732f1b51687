"""Links in the documents lead to files and headings that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.docs.pages import DOCS, PAGES, ROOT, text_of, without_code


def links_in(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file and the anchor of each link to a file of the repository."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", without_code(page.read_text())):
        path, _, anchor = target.partition("#")
        yield (page.parent / path if path else page), anchor


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_existing_files(page: Path) -> None:
    assert [str(path) for path, _ in links_in(page) if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_existing_headings(page: Path) -> None:
    missing = [(path.name, anchor) for path, anchor in links_in(page) if anchor and anchor not in anchors_of(path)]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_of_the_repository_exist(page: Path) -> None:
    names = "benchmarks|docs|examples|fitqueue|migrations|requirements|service|tests|tools|workers"
    paths = re.findall(rf"`((?:{names})/[\w./-]+)`", page.read_text())
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_glossary_is_in_alphabetical_order() -> None:
    words = re.findall(r"^## (.+)$", text_of("glossary.md"), re.MULTILINE)
    assert words == sorted(words, key=str.lower)


def test_some_page_links_to_each_word_of_the_glossary() -> None:
    linked = {anchor for page in PAGES for path, anchor in links_in(page) if path.resolve() == DOCS / "glossary.md"}
    assert anchors_of(DOCS / "glossary.md") - linked == {"glossary"}
