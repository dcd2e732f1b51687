"""Documents and code use the words of the field, and none of the private ones that they once had.

The glossary explains the words that stay.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.unit.docs.pages import PAGES, ROOT

REPLACED: Final = {
    r"\b(bells?|ears?|rings?|rang)\b": "notification, notifier, listener, notify",
    r"\bnurser(y|ies)\b": "fork server",
    r"\b(stations?|workplaces?)\b": "slot pool, worker context",
    r"\bsupervisions?\b": "supervisor",
    r"\b(ledgers?|tall(y|ies))\b": "attempt recorder, counters",
    r"\bkeepers?\b": "lease renewer, checkpoint collector",
    r"\btwins?\b": "shadow model",
    r"\bwish(es|ed)?\b": "request, action",
    r"\b(obituar(y|ies)|bur(y|ies|ied))\b": "exit report, reap",
    r"\brehearsals?\b": "smoke test",
    r"\bunwell\b": "CheckFailed",
    r"\bneedless(ly)?\b": "unreferenced",
    r"\bdut(y|ies)\b": "periodic task",
    r"\bjudg(es?|ed|ing)\b": "check, compare",
    r"\bpulses?\b": "liveness file",
    r"\b(put|puts|putting|take|takes|taken|took|give|gives|given|gave)[ _]back\b": "requeue, release, retry_or_fail",
    r"\b(let|lets|letting)[ _]go\b": "release",
    r"\b(as_sent|by_sent_pointer|sound_parts|artifact_store_failed|store_unavailable)\b": "their new names",
    r"\bFITQUEUE_STORE\b|\bvar/store\b|\bfitqueue/store\b": "FITQUEUE_STORAGE, var/storage",
    r"(?<!\bthere )\b(is|are|was|were) no (?!(better|longer|more)\b)": "is not a, are not",
}
"""Regular expressions, each with what to write instead."""

EXCEPTIONS: Final = {
    ("CHANGELOG.md", "| "): "the table of renames shows the old names",
    ("CHANGELOG.md", "- **The setting.**"): "it tells users what to rename",
    ("CHANGELOG.md", "- **Alerts**"): "it tells users what to rename",
}
"""The beginning of a path and a part of the line, with the reason why the line may have such a word."""

CODE: Final = ("fitqueue", "service", "workers", "migrations", "benchmarks", "examples", "tools")
BUILD_FILES: Final = (
    "Dockerfile",
    "Makefile",
    "docker-compose.yml",
    "docker-compose.gpu.yml",
    ".ci/run",
    ".ci/containers",
    ".ci/browser",
)


def files() -> Iterator[Path]:
    """Yield the documents, the files of the build, and the code. Keras's own texts in the catalogue are not ours."""
    yield from PAGES
    yield from (ROOT / name for name in BUILD_FILES)
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".yaml", ".mako"}:
                yield path


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _is_exception(path: Path, line: str) -> bool:
    return any(_name(path).startswith(start) and part in line for start, part in EXCEPTIONS)


@pytest.mark.parametrize("pattern", REPLACED)
def test_no_file_has_a_word_that_was_replaced(pattern: str) -> None:
    matches = [
        f"{_name(path)}:{number}: {line.strip()}"
        for path in files()
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(pattern, line, re.IGNORECASE) and not _is_exception(path, line)
    ]
    assert matches == [], f"write {REPLACED[pattern]} instead"
