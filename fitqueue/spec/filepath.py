"""The filepath template of a ModelCheckpoint, such as `ep{epoch:03d}-val_loss{val_loss:.3f}.weights.h5`.

A template names checkpoints for people and is never used as a path. It resembles a format string for `str.format` but
allows less: a field is a plain name, its width and precision are bounded, and neither the text between the fields nor
what fills them up contains characters of a path.
"""

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from fitqueue.text import truncate

MAX_LENGTH: Final = 200
MAX_RENDERED: Final = 255
"""The longest file name that most file systems allow."""

COUNTERS: Final = ("epoch", "batch")
"""Fields that every training has. All others are names of logged values."""

# What `str.format` takes as one key: without a dot or bracket, which would lead into the value, and not a number.
# A slash may be in the name of a field, as in `p/o_loss`: only its value becomes a part of the file name.
_FIELD: Final = re.compile(r"(?![0-9]+$)[^.\[\]{}:!\\\x00-\x1f\x7f-\x9f]+")
# Python's format specification (https://docs.python.org/3/library/string.html#formatspec) within bounds, and without
# `#`, `c`, `n` and `s`: these could end in a dot, in any character or in a locale's, or print any value.
_FORMAT: Final = re.compile(
    r"([\w=+@() -]?[<>=^])?[+ -]?z?0*(?P<width>[0-9]|1[0-9])?[,_]?"
    r"(\.0*([0-9]|1[0-6]))?(?P<type>[bdoxXeEfFgG%])?"
)
_LITERAL: Final = re.compile(r"[\w.,=+@()\[\] -]*")
_MAX_QUOTED: Final = 40


class BadTemplate(ValueError):
    """The text is not a template that FitQueue accepts. The message says why and what would be accepted."""


@dataclass(frozen=True)
class Piece:
    """Literal text, followed by one field and its format. The last piece may have no field."""

    literal: str
    field: str | None
    spec: str


@dataclass(frozen=True)
class Template:
    """A parsed filepath template."""

    pieces: tuple[Piece, ...]

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Parse a template.

        Raises:
            BadTemplate: if FitQueue does not accept it.
        """
        if len(text) > MAX_LENGTH:
            raise BadTemplate(f"The template has {len(text)} characters; at most {MAX_LENGTH} are allowed.")
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as error:
            raise BadTemplate(f"The braces do not match: {error}. Write fields as {{epoch:02d}}.") from error
        _check_literals(text, [literal for literal, *_ in parsed])
        template = cls(tuple(_piece(*segment) for segment in parsed))
        if template.min_length > MAX_RENDERED:
            raise BadTemplate(
                f"Its file names have {template.min_length} characters or more; at most {MAX_RENDERED} are allowed."
            )
        return template

    @property
    def min_length(self) -> int:
        """The length of the shortest file name: a field is at least as wide as its format says."""
        return sum(len(piece.literal) + _width(piece.spec) for piece in self.pieces)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields, in order."""
        return tuple(piece.field for piece in self.pieces if piece.field is not None)

    def renamed(self, rename: Callable[[str], str]) -> "Template":
        """Return the template with each field renamed."""
        return Template(tuple(replace(piece, field=piece.field and rename(piece.field)) for piece in self.pieces))

    def keras_format(self) -> str:
        """Return the format string for Keras, built from the validated pieces only."""
        return "".join(_format_piece(piece) for piece in self.pieces)


def is_template(text: str) -> bool:
    """Return whether FitQueue accepts the text as a template."""
    try:
        Template.parse(text)
    except BadTemplate:
        return False
    return True


def _width(spec: str) -> int:
    match = _FORMAT.fullmatch(spec)
    return int(match["width"] or 0) if match else 0


def _format_piece(piece: Piece) -> str:
    literal = piece.literal.replace("{", "{{").replace("}", "}}")
    if piece.field is None:
        return literal
    return f"{literal}{{{piece.field}:{piece.spec}}}" if piece.spec else f"{literal}{{{piece.field}}}"


def _check_literals(text: str, literals: Sequence[str]) -> None:
    # Each literal is checked by itself: a field between two of them is never rendered as an empty string.
    if text.startswith((".", " ")) or any(".." in literal for literal in literals):
        raise BadTemplate("A name must not start with a dot or a space, and must not contain '..'.")
    joined = "".join(literals)
    if "/" in joined or "\\" in joined:
        raise BadTemplate("A name has no folders: leave out everything up to the last slash.")
    if not _LITERAL.fullmatch(joined):
        bad = next(character for character in joined if not _LITERAL.fullmatch(character))
        raise BadTemplate(
            f"The character {bad!r} is not allowed in a name. Use letters, digits, spaces and . , = + - _ @ ( ) [ ]."
        )


def _piece(literal: str, field: str | None, spec: str | None, conversion: str | None) -> Piece:
    if field is None:
        return Piece(literal, None, "")
    if not _FIELD.fullmatch(field):
        raise BadTemplate(
            f"{{{truncate(field, _MAX_QUOTED)}}} is not a field: a field is epoch, batch or the name of a logged value."
        )
    if conversion:
        raise BadTemplate(f"{{{field}!{conversion}}}: conversions are not allowed. Write {{{field}}}.")
    if not _is_format(spec or "", 1 if field in COUNTERS else 1.0):
        example = "02d" if field in COUNTERS else ".3f"
        shown = truncate(spec or "", _MAX_QUOTED)
        raise BadTemplate(f"{{{field}:{shown}}}: this format is not allowed. Use one such as {example}.")
    return Piece(literal, field, spec or "")


def _is_format(spec: str, sample: float) -> bool:
    """Return whether Python formats such a number by this specification, and within our bounds."""
    if not _FORMAT.fullmatch(spec):
        return False
    try:
        format(sample, spec)
    except ValueError:
        return False
    return True
