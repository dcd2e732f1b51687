"""In which language an answer is wanted, and how the answer says which one it is in."""

from flask import Response, request

from fitqueue.advice import TEXTS, Language


def wanted() -> Language:
    """By `Accept-Language`; English where none of those is known that it names."""
    known: dict[str, Language] = {str(language): language for language in TEXTS}
    return known[request.accept_languages.best_match(known, default="en")]


def tell(response: Response) -> Response:
    response.content_language.add(wanted())
    response.vary.add("Accept-Language")
    return response
