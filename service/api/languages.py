"""The language of an answer: which one the client prefers, and how the answer declares it."""

from functools import lru_cache

from flask import Response, request
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from fitqueue.advice import TEXTS, Language


def preferred() -> Language:
    """Return the language that `Accept-Language` prefers among those that we have; else English."""
    return _preferred(request.headers.get("Accept-Language", ""))


@lru_cache(maxsize=256)
def _preferred(header: str) -> Language:
    """Return the language for a header. A page has dozens of words, and all of its requests the same header."""
    known: dict[str, Language] = {str(language): language for language in TEXTS}
    return known[parse_accept_header(header, LanguageAccept).best_match(known, default="en")]


def declare(response: Response) -> Response:
    response.content_language.add(preferred())
    response.vary.add("Accept-Language")
    return response
