"""The first process of a container: it passes signals on, and waits for processes that nobody else waits for.

Docker's own init would do both, but it keeps the environment of the container, passwords included, where every process
of the same user can read it. So our programs stay behind as their own init, after they have hidden their secrets.
"""

import os
import signal
from typing import Final, NoReturn

_FIRST: Final = 1
_PASSED_ON: Final = frozenset(
    {
        *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2),
        *(signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH),
    }
)


def continue_below_init() -> None:
    """If this is the first process of a container, let it become the init, and return in a child of it."""
    if os.getpid() != _FIRST:
        return
    # Blocked before the fork, so that no signal is lost in between.
    signals = {*_PASSED_ON, signal.SIGCHLD}
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    program = os.fork()
    if program:
        _serve(program, signals)
    os.setsid()  # Ctrl-C in a terminal reaches the init alone, which passes it on
    signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)


def _serve(program: int, signals: set[signal.Signals]) -> NoReturn:
    """Pass signals on to the program until it ends, and exit with its exit code."""
    while True:
        number = signal.sigwait(signals)
        if number != signal.SIGCHLD:
            os.kill(program, number)
            continue
        code = _reap(program)
        if code is not None:
            os._exit(code)


def _reap(program: int) -> int | None:
    """Wait for every process that has ended; return the exit code of the program, as shells have it, if it has."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == 0:
            return None
        if pid == program:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
