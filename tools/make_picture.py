"""Draw docs/demo.svg, the final picture of `make demo` on a terminal: `python -m tools.make_picture`."""

from pathlib import Path

from tools.terminal_picture import run_in_terminal, save_picture

PICTURE = Path(__file__).parents[1] / "docs" / "demo.svg"
WIDTH = 120


def main() -> None:
    shown = run_in_terminal(["make", "--no-print-directory", "demo"], WIDTH)
    save_picture(PICTURE, ["\x1b[1m$ make demo\x1b[0m", *without_the_bar(shown)], WIDTH)


def without_the_bar(shown: str) -> list[str]:
    """Return the lines that stay on the terminal: the bar was redrawn on a line of its own, and erased at the end."""
    lines = []
    for line in shown.split("\n"):
        visible = line.rpartition("\x1b[2K")[2].rpartition("\r")[2]
        if not visible.startswith(("\x1b[?25", "\x1b[1A")) or visible.strip("\x1b[?25lh"):
            lines.append(visible.replace("\x1b[?25l", "").replace("\x1b[?25h", ""))
    return lines


if __name__ == "__main__":
    main()
