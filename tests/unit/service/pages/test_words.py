"""The words of the pages: each in both languages, each used, and each that is used is there."""

import re
from pathlib import Path

from fitqueue.states import JobState, Phase, Reason
from service.pages.words import all_words

PAGES = Path(__file__).parents[4] / "service" / "pages"
TEMPLATES = "".join(path.read_text("utf-8") for path in sorted((PAGES / "templates").rglob("*.html")))
SCRIPTS = "".join(path.read_text("utf-8") for path in sorted((PAGES / "static").glob("*.js")))
CODE = "".join(path.read_text("utf-8") for path in sorted(PAGES.rglob("*.py")))

KEY = r"[a-z_]+(?:\.[a-z_]+)*"
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def _keys(function: str, source: str) -> set[str]:
    """Return the keys, or beginnings of keys, that calls of a function have as their first argument."""
    return set(re.findall(rf"\b{function}\(\s*[\"'`]({KEY}\.?)", source))


def _used() -> set[str]:
    """Return what occurs in quotation marks anywhere: keys, and beginnings of keys."""
    quoted = set(re.findall(rf"[\"'`]({KEY}\.?)", TEMPLATES + CODE))
    return quoted | {f"js.{key}" for key in re.findall(rf"[\"'`]({KEY}\.?)", SCRIPTS)}


def test_each_key_has_the_same_placeholders_in_both_languages() -> None:
    for key, texts in all_words().items():
        assert set(texts) == {"en", "zh"}, key
        assert all(text.strip() for text in texts.values()), key
        assert set(PLACEHOLDER.findall(texts["en"])) == set(PLACEHOLDER.findall(texts["zh"])), key


def test_each_key_that_is_used_exists() -> None:
    used = _keys("t", TEMPLATES) | {f"js.{key}" for key in _keys("t", SCRIPTS)}
    assert len(used) > 50
    unknown = {
        key
        for key in used
        if not (any(word.startswith(key) for word in all_words()) if key.endswith(".") else key in all_words())
    }
    assert unknown == set()


def test_each_key_is_used() -> None:
    used = _used()
    beginnings = tuple(key for key in used if key.endswith("."))
    unused = {key for key in all_words() if key not in used and not key.startswith(beginnings)}
    assert unused == set()


def test_each_state_phase_and_reason_has_words() -> None:
    names = {f"state.{state}" for state in JobState} | {f"phase.{phase}" for phase in Phase}
    assert names | {f"reason.{reason}" for reason in Reason} <= set(all_words())
