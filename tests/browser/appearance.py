"""The sizes and colour schemes in which each page must be readable."""

from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from playwright.sync_api import Page

Scheme = Literal["light", "dark"]

_HEIGHT: Final = 800


@dataclass(frozen=True)
class Appearance:
    """How a browser shows pages."""

    width: int
    scheme: Scheme

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}"

    @property
    def context_options(self) -> dict[str, Any]:
        """The keyword arguments of Playwright's `new_context`."""
        return {"viewport": {"width": self.width, "height": _HEIGHT}, "color_scheme": self.scheme}

    @classmethod
    def of(cls, page: Page) -> Self:
        """Return how this page is shown now."""
        size = page.viewport_size
        assert size is not None
        is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        return cls(size["width"], "dark" if is_dark else "light")


APPEARANCES: Final = tuple(Appearance(width, scheme) for width in (360, 1280) for scheme in ("dark", "light"))
