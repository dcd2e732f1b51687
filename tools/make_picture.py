"""Draw docs/demo.svg, the final picture of `make demo` on a terminal: `python -m tools.make_picture`."""

import os
import pty
import re
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[1] / "docs" / "demo.svg"
WIDTH = 120


def main() -> None:
    shown = bytearray()

    def read(descriptor: int) -> bytes:
        piece = os.read(descriptor, 4096)
        shown.extend(piece)
        return piece

    os.environ.update(COLUMNS=str(WIDTH), TERM="xterm-256color")
    pty.spawn(["make", "--no-print-directory", "demo"], read)
    console = Console(record=True, width=WIDTH, file=StringIO())
    console.print(Text("$ make demo", style="bold"))
    for line in without_the_bar(shown.decode()):
        console.print(Text.from_ansi(line), soft_wrap=True)
    # Rich names a font on a server elsewhere; a picture in a README fetches nothing.
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="FitQueue"), flags=re.DOTALL))


def without_the_bar(shown: str) -> list[str]:
    """Return the lines that stay on the terminal: the bar was redrawn on a line of its own, and erased at the end."""
    lines = []
    for line in shown.replace("\r\n", "\n").split("\n"):
        kept = line.rpartition("\x1b[2K")[2].rpartition("\r")[2]
        if not kept.startswith(("\x1b[?25", "\x1b[1A")) or kept.strip("\x1b[?25lh"):
            lines.append(kept.replace("\x1b[?25l", "").replace("\x1b[?25h", ""))
    return lines


if __name__ == "__main__":
    main()
