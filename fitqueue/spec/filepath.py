"""The template of a checkpoint's name, such as `ep{epoch:03d}-val_loss{val_loss:.3f}.weights.h5`.

A template is a label: it names a checkpoint to people and never reaches a file system. It looks like what Keras passes
to `str.format`, and is far less: a field is a plain name, its format has a bounded width and precision, and what stands
between the fields has none of the characters of a path.
"""

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

MAX_LENGTH: Final = 200
MAX_RENDERED: Final = 255
"""As long as a name of a file may be on most systems."""

COUNTERS: Final = ("epoch", "batch")
"""Fields that every training has; all others are the names of logged values."""

_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_COUNTER_SPEC: Final = re.compile(r"(0?[1-9]|0?1[0-9])?d?")
_VALUE_SPEC: Final = re.compile(r"(0?[1-9]|0?1[0-9])?(\.[0-9]|\.1[0-6])?[eEfFgG]?")
_LITERAL: Final = re.compile(r"[\w.,=+@()\[\] -]*")


class BadTemplate(ValueError):
    """The text is not a template that FitQueue takes; the message says why, and what would be one."""


@dataclass(frozen=True)
class Piece:
    """Literal text, then one field with its format; the last piece may have no field."""

    literal: str
    field: str | None
    spec: str


@dataclass(frozen=True)
class Template:
    pieces: tuple[Piece, ...]

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Raises BadTemplate."""
        if len(text) > MAX_LENGTH:
            raise BadTemplate(f"The template has {len(text)} characters; at most {MAX_LENGTH} are taken.")
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as error:
            raise BadTemplate(f"The braces do not match: {error}. Write fields as {{epoch:02d}}.") from error
        _check_literals(text, [literal for literal, *_ in parsed])
        template = cls(tuple(_piece(*parts) for parts in parsed))
        if template.shortest > MAX_RENDERED:
            raise BadTemplate(
                f"Its names have {template.shortest} characters and more; at most {MAX_RENDERED} are taken."
            )
        return template

    @property
    def shortest(self) -> int:
        """The least length of a name: a field is as wide as its format says, at least."""
        return sum(len(piece.literal) + _width(piece.spec) for piece in self.pieces)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of its fields, in their order."""
        return tuple(piece.field for piece in self.pieces if piece.field is not None)

    def render(self, epoch: int, logs: Mapping[str, float], batch: int | None = None) -> str:
        """The name of a checkpoint. `epoch` and `batch` count from 1. Raises KeyError for a field that has no value."""
        values: dict[str, float] = {**logs, "epoch": epoch}
        if batch is not None:
            values["batch"] = batch
        return "".join(
            piece.literal + (format(values[piece.field], piece.spec) if piece.field is not None else "")
            for piece in self.pieces
        )

    def renamed(self, rename: Callable[[str], str]) -> "Template":
        """The same with other names for its fields."""
        return Template(tuple(replace(piece, field=piece.field and rename(piece.field)) for piece in self.pieces))

    def keras_format(self) -> str:
        """The same as a format string for Keras, made from the checked pieces alone."""
        return "".join(_keras_piece(piece) for piece in self.pieces)


def is_template(text: str) -> bool:
    """Whether FitQueue takes the text for a template."""
    try:
        Template.parse(text)
    except BadTemplate:
        return False
    return True


def _width(spec: str) -> int:
    digits = re.match(r"\d*", spec)
    return int(digits.group() or 0) if digits else 0


def _keras_piece(piece: Piece) -> str:
    literal = piece.literal.replace("{", "{{").replace("}", "}}")
    if piece.field is None:
        return literal
    return f"{literal}{{{piece.field}:{piece.spec}}}" if piece.spec else f"{literal}{{{piece.field}}}"


def _check_literals(text: str, pieces: Sequence[str]) -> None:
    literals = "".join(pieces)
    # Piece by piece: between two of them stands a field, and none is ever rendered as nothing.
    if text.startswith((".", " ")) or any(".." in piece for piece in pieces):
        raise BadTemplate("A name neither starts with a dot or a space nor contains '..'.")
    if "/" in literals or "\\" in literals:
        raise BadTemplate("A name has no folders: leave out what stands before the last slash.")
    if not _LITERAL.fullmatch(literals):
        bad = next(character for character in literals if not _LITERAL.fullmatch(character))
        raise BadTemplate(
            f"The character {bad!r} may not stand in a name; letters, digits and . , = + - _ @ ( ) [ ] may."
        )


def _piece(literal: str, field: str | None, spec: str | None, conversion: str | None) -> Piece:
    if field is None:
        return Piece(literal, None, "")
    if not _FIELD.fullmatch(field):
        raise BadTemplate(f"{{{_short(field)}}} is no field: a field is epoch, batch or the name of a logged value.")
    if conversion:
        raise BadTemplate(f"{{{field}!{conversion}}}: a conversion has no place here. Write {{{field}}}.")
    allowed, example = (_COUNTER_SPEC, "02d") if field in COUNTERS else (_VALUE_SPEC, ".3f")
    if not allowed.fullmatch(spec or ""):
        raise BadTemplate(f"{{{field}:{_short(spec or '')}}}: the format is not one like {example}.")
    return Piece(literal, field, spec or "")


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
