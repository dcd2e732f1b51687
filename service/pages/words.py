"""The words of the pages in each language, from one file."""

import json
from functools import cache
from pathlib import Path
from typing import Final

from fitqueue.advice import Language
from service.api import languages

_FILE: Final = Path(__file__).parent / "words.json"
_SCRIPT_PREFIX: Final = "js."


@cache
def all_words() -> dict[str, dict[str, str]]:
    """Return the words by key and language. Keys that begin with `js.` are for scripts."""
    words: dict[str, dict[str, str]] = json.loads(_FILE.read_text("utf-8"))
    return words


def translate(key: str, **values: object) -> str:
    """Return the words of a key in the language of the request, with `{name}` replaced by values.

    Raises:
        KeyError: the file has no such key.
    """
    text = all_words()[key][languages.preferred()]
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


@cache
def for_scripts(language: Language) -> dict[str, str]:
    """Return the words that scripts use, by key without its prefix."""
    return {
        key.removeprefix(_SCRIPT_PREFIX): texts[language]
        for key, texts in all_words().items()
        if key.startswith(_SCRIPT_PREFIX)
    }
