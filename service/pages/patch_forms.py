"""Forms of limits and retentions. A field that is left empty removes a limit, or keeps something for ever."""

from typing import Final, Literal

from flask import request

from fitqueue.limits import Limits, UserLimits
from fitqueue.retention import Retention

LIMITS_OF_USER: Final = tuple(UserLimits.model_fields)
LIMITS_OF_PROJECT: Final = tuple(Limits.model_fields)
KEPT_DAYS: Final = tuple(name for name in Retention.model_fields if name.endswith("_days"))


def posted(part: Literal["limits", "retention"]) -> dict[str, dict[str, int | str | None]]:
    """Return the part of a user or a project that the form that was posted changes, as the API takes it."""
    prefix = f"{part}/"
    fields = {name: value.strip() for name, value in request.form.items() if name.startswith(prefix)}
    return {part: {name.removeprefix(prefix): _value(text) for name, text in fields.items()}}


def _value(text: str) -> int | str | None:
    """Return what somebody wrote; the API says what is wrong with a text that is not a number."""
    if not text:
        return None
    return int(text) if text.isascii() and text.isdecimal() else text
