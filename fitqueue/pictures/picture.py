"""A picture as a notebook asks for it."""

from dataclasses import dataclass
from typing import Any


class Pictured:
    """Something that a notebook shows as a picture, and a terminal as text."""

    def _picture(self) -> "Picture":
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return self._picture().html

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002 - IPython's
        picture = self._picture()
        return {"text/plain": picture.text, "text/html": picture.html}


@dataclass(frozen=True)
class Picture(Pictured):
    """Static HTML, and the same in words.

    Attributes:
        html: the picture, as part of a page.
        text: the same as plain text.
    """

    html: str
    text: str

    def __repr__(self) -> str:
        return self.text

    def _picture(self) -> "Picture":
        return self
