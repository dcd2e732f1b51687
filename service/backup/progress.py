"""What people see while files are copied: a bar on a terminal, and lines elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from fitqueue.cli.output import remark, transfer_bar
from fitqueue.cli.text import size

_LINE_SECONDS: Final = 10.0
"""Seconds between two lines, where there is no bar."""


class Progress:
    """Shows on stderr how far a copy is."""

    def __init__(self, words: str) -> None:
        """Prepare to show it; `words` say what is copied where, such as «Copying 12 files»."""
        self._words = words

    def step(self, words: str) -> None:
        """Say what is done now, and takes its time."""
        remark(words)

    @contextmanager
    def copying(self, files: int, total: int) -> Iterator[Callable[[int], None]]:
        """Show the copy of some files; the function that it gives is called with the size of each chunk."""
        if not files:
            yield lambda _: None
            return
        title = f"{self._words} {files} file{'s' * (files > 1)}"
        if sys.stderr.isatty():
            with transfer_bar(title) as on_progress:
                yield _Counter(total, on_progress).add
        else:
            remark(f"{title}, {size(total)} …")
            yield _Counter(total, _Lines(title)).add


class _Counter:
    """Adds up the chunks of several threads."""

    def __init__(self, total: int, show: Callable[[int, int], None]) -> None:
        self._lock = threading.Lock()
        self._total = total
        self._done = 0
        self._show = show

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._show(self._done, self._total)


class _Lines:
    """Prints a line now and then."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._next = time.monotonic() + _LINE_SECONDS

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_SECONDS
            remark(f"{self._title}: {size(done)} of {size(total)}.")
