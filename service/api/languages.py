"""The language of an answer: which one the client prefers, and how the answer declares it."""

from flask import Response, request

from fitqueue.advice import TEXTS, Language


def preferred() -> Language:
    """Return the language that `Accept-Language` prefers among those that we have; else English."""
    known: dict[str, Language] = {str(language): language for language in TEXTS}
    return known[request.accept_languages.best_match(known, default="en")]


def declare(response: Response) -> Response:
    response.content_language.add(preferred())
    response.vary.add("Accept-Language")
    return response
