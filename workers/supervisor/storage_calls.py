"""Calls of the storage that may hang: each in a thread of its own, because only that can be left behind.

A file of a dead network file system hangs in `open`, where neither a signal nor an exception ends it.
"""

import time
from collections.abc import Callable
from contextvars import copy_context
from threading import Event, Thread
from typing import Final, Generic, TypeVar

from service.storage import StorageError
from workers.shared.outages import is_disk_outage

POLL_SECONDS: Final = 0.5

OnChunk = Callable[[], None]
"""Called again and again while a file is read. What it raises ends that."""

Result = TypeVar("Result")


def is_outage(error: BaseException) -> bool:
    """Tell whether the storage or a disk failed, and not the file or the job."""
    return isinstance(error, StorageError) or is_disk_outage(error)


def call_storage(function: Callable[[OnChunk], Result], poll: Callable[[], None], timeout: float) -> Result:
    """Call a function in a thread, and return what it returns or raise what it raises.

    Args:
        function: gets what it must call for each chunk that it reads.
        poll: called twice a second and for each chunk; what it raises ends the call, at once even if it hangs.
        timeout: for how many seconds the function may call nothing.

    Raises:
        StorageError: it did not answer in time.
    """
    call = _Call(function, poll)
    # The context carries the fields that are bound to each line of the log.
    Thread(target=copy_context().run, args=(call.run,), name="storage", daemon=True).start()
    try:
        while not call.has_ended.wait(POLL_SECONDS):
            poll()
            if time.monotonic() - call.active_at > timeout:
                raise StorageError(f"The storage did not answer for {timeout:g} s.")
    finally:
        call.is_abandoned = True
    return call.result()


class _Abandoned(Exception):
    """Nobody waits for the call any more."""


class _Call(Generic[Result]):
    def __init__(self, function: Callable[[OnChunk], Result], poll: Callable[[], None]) -> None:
        self.has_ended = Event()
        self.is_abandoned = False
        self.active_at = time.monotonic()
        self._function = function
        self._poll = poll
        self._results: list[Result] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._results.append(self._function(self._on_chunk))
        except BaseException as error:  # raised again where the result is awaited
            self._error = error
        self.has_ended.set()

    def result(self) -> Result:
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _on_chunk(self) -> None:
        if self.is_abandoned:
            raise _Abandoned
        self.active_at = time.monotonic()
        self._poll()
