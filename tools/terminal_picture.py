"""Draw what a terminal shows as an SVG."""

import os
import pty
import re
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text


def run_in_terminal(command: Sequence[str], width: int) -> str:
    """Run a command in a terminal, show what it shows, and return it."""
    shown = bytearray()

    def read(descriptor: int) -> bytes:
        chunk = os.read(descriptor, 4096)
        shown.extend(chunk)
        return chunk

    os.environ.update(COLUMNS=str(width), TERM="xterm-256color")
    pty.spawn(list(command), read)
    return shown.decode().replace("\r\n", "\n")


def save_picture(path: Path, lines: Iterable[str], width: int) -> None:
    """Draw lines with the colours of a terminal."""
    console = Console(record=True, width=width, file=StringIO())
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=True)
    # Rich refers to a font on another server; a picture in a README should not fetch anything.
    path.write_text(re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="FitQueue"), flags=re.DOTALL))
