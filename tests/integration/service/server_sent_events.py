"""Reading server-sent events."""

from collections.abc import Iterator


def parse_events(chunks: Iterator[bytes]) -> Iterator[dict[str, str]]:
    """Yield each event with its fields `id`, `event` and `data`. Comments are left out."""
    rest = ""
    for chunk in chunks:
        rest += chunk.decode()
        *blocks, rest = rest.split("\n\n")
        for block in blocks:
            if not block.startswith(":"):
                yield dict(line.split(": ", 1) for line in block.splitlines())
