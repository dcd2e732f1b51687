"""A worker from its start to its end: its parts put together, and the order in which they stop."""

import logging
import os
import signal
import socket
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Final

from fitqueue.errors import DatabaseUnavailable
from service import environment
from service.dataset_cache import DatasetCache
from service.db import Database
from service.ids import new_id
from service.logs import configure_logging
from service.queue import Notifier
from service.settings import Settings
from service.storage import WORKER_RETRY_TIMEOUT, Storage, open_storage
from service.store import workers as registry
from service.sweeping import sweep
from workers.supervisor.celery_app import make_app
from workers.supervisor.devices import NVML, ListGPUs, processors
from workers.supervisor.fork_server import TRAINER, ForkServer
from workers.supervisor.listener import Listener, add_tasks
from workers.supervisor.notifications import notify_pools_with_work
from workers.supervisor.periodic import PeriodicTask
from workers.supervisor.reaper import Reaper, own_directory, remove_abandoned
from workers.supervisor.slots import SlotPool
from workers.supervisor.supervisor import Timeouts, WorkerContext

_logger = logging.getLogger(__name__)

# About how often the database is asked for work whatever Redis says: between two and five seconds.
POLL_SECONDS: Final = 3.5
EXPIRY_SECONDS: Final = 1.0
PULSE_SECONDS: Final = 5.0
SWEEP_SECONDS: Final = 3600.0
LISTENER_STOP_SECONDS: Final = 52.0
"""A job that was taken by a bell is trained in the ear's thread: what a supervision may take when the worker stops, and
less than the minute that containers get."""

PULSE: Final = "alive"
"""Begins the name of the file in a worker's directory that is touched again and again while it is ready for jobs. It
ends with the host's: containers share the folder, and each asks for its own worker."""


def main(list_gpus: ListGPUs | None = None, trainer: str = TRAINER) -> None:
    """Run a worker until it is told to stop: on NVIDIA's GPUs and with our own training process, if nothing is said."""
    settings = Settings()
    store = open_storage(settings, WORKER_RETRY_TIMEOUT)  # it reads credentials, which are gone after the next line
    environment.drop_secrets()
    configure_logging(settings.log_level)
    stopping = Event()
    _stop_on_signals(stopping)
    # Not left to the reaper: a container that was started again would be taken for ready by its predecessor's pulse.
    remove_abandoned(settings.work_dir)
    fork_server = ForkServer(trainer)
    fork_server.open()
    worker = Worker(settings, store, fork_server, stopping, list_gpus or NVML().list_gpus)
    with own_directory(settings.work_dir, worker.id) as directory:
        worker.run(directory)
    # Not by sys.exit: what Celery and the database's driver do at exit may wait for a network that is not there.
    logging.shutdown()
    os._exit(0)


class Worker:
    def __init__(
        self, settings: Settings, store: Storage, fork_server: ForkServer, stopping: Event, list_gpus: ListGPUs
    ) -> None:
        self.id = new_id("wk")
        self._settings = settings
        self._fork_server = fork_server
        self._stopping = stopping
        self._database = Database(settings.database_url)
        self._store = store
        self._notifier = Notifier(settings.redis_url)
        self._list_gpus = list_gpus

    def run(self, directory: Path) -> None:
        """Serve until `stopping` is set, then give back what is being trained."""
        slot_pool = self._make_slot_pool(directory)
        app = make_app(self._settings.redis_url, self._settings.pools, self._settings.slots)
        add_tasks(app, slot_pool)
        listener = Listener(app, self._settings.pools, self._stopping)
        reaper = Reaper(self._database, self._notifier, self._settings.work_dir)
        third = self._settings.lease_seconds / 3
        periodic_tasks = [
            PeriodicTask("heartbeat", self.heartbeat, third, self._stopping),
            # For whoever watches this process from beside it, as its container's health check does. Whether the
            # database hears the heartbeat is another matter, and no reason to start a worker again.
            PeriodicTask("pulse", (directory / f"{PULSE}.{socket.gethostname()}").touch, PULSE_SECONDS, self._stopping),
            PeriodicTask("poller", slot_pool.look, POLL_SECONDS, self._stopping),
            PeriodicTask("expiry", reaper.expire_once, EXPIRY_SECONDS, self._stopping),
            PeriodicTask("reaper", reaper.run_once, third, self._stopping),
            PeriodicTask("sweeper", self.sweep_store, SWEEP_SECONDS, self._stopping),
        ]
        with ExitStack() as at_the_end:
            at_the_end.callback(self._say_goodbye)
            # The bell that rang for what was put back may have been heard by this worker alone.
            at_the_end.callback(notify_pools_with_work, self._database, self._notifier)
            at_the_end.callback(listener.stop, LISTENER_STOP_SECONDS)
            at_the_end.callback(slot_pool.close)
            at_the_end.callback(listener.begin_to_stop)
            at_the_end.callback(self._stopping.set)
            for periodic_task in periodic_tasks:
                periodic_task.start()
            listener.start()
            _logger.info("The worker is ready.", extra={"worker": self.id, "pools": self._settings.pools})
            self._stopping.wait()
            _logger.info("The worker stops; its jobs go back.", extra={"worker": self.id})

    def heartbeat(self) -> None:
        """Be seen; register where the worker is not known, or not any more."""
        gpus = self._list_gpus()
        names = [gpu.name for gpu in gpus] or [f"{self._settings.cpu_devices} CPU"]
        uuids = [gpu.uuid for gpu in gpus]
        with self._database.write() as session:
            if not registry.heartbeat(session, self.id, devices=names, gpus=uuids):
                registry.register(
                    session,
                    self.id,
                    host=socket.gethostname(),
                    pools=self._settings.pools,
                    slots=self._settings.slots,
                    devices=names,
                    gpus=uuids,
                )

    def sweep_store(self) -> None:
        sweep(self._database, self._store)

    def _make_slot_pool(self, directory: Path) -> SlotPool:
        settings = self._settings
        place = WorkerContext(
            database=self._database,
            store=self._store,
            datasets=DatasetCache(self._store, settings.work_dir / "datasets", settings.dataset_cache_bytes),
            fork_server=self._fork_server,
            work_dir=directory,
            kept=settings.work_dir / "kept",
            lease_seconds=settings.lease_seconds,
            cpu_devices=settings.cpu_devices,
            threads=max(1, processors() // settings.slots),
            snapshot_seconds=settings.snapshot_seconds,
            stopping=self._stopping,
            timeouts=Timeouts(silence=settings.silence_seconds),
        )
        return SlotPool(place, self.id, settings.pools, settings.slots, self._list_gpus, self._notifier)

    def _say_goodbye(self) -> None:
        try:
            with self._database.write() as session:
                registry.stop(session, self.id)
        except DatabaseUnavailable as error:
            _logger.warning("The worker could not say goodbye.", extra={"error": str(error)})


def _stop_on_signals(stopping: Event) -> None:
    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- Python calls it so
        if stopping.is_set() and number == signal.SIGINT:
            os._exit(128 + number)  # whoever asks twice does not want to wait; the lifelines end the children
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
