"""The forms in which admins write the limits of users and projects. A field that is left empty removes a limit."""

from typing import Final

from flask import request

from fitqueue.limits import Limits, UserLimits

PREFIX: Final = "limits/"

OF_USER: Final = tuple(UserLimits.model_fields)
OF_PROJECT: Final = tuple(Limits.model_fields)


def posted() -> dict[str, dict[str, int | str | None]]:
    """Return the limits of the form that was posted, as the API takes them."""
    fields = {name: value.strip() for name, value in request.form.items() if name.startswith(PREFIX)}
    return {"limits": {name.removeprefix(PREFIX): _limit(value) for name, value in fields.items()}}


def _limit(text: str) -> int | str | None:
    """Return the number that somebody wrote; the API says what is wrong with a text that is not one."""
    if not text:
        return None
    return int(text) if text.isascii() and text.isdecimal() else text
