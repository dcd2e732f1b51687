"""A worker: it puts its parts together, and stops them in the right order."""

import logging
import os
import socket
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Final

from fitqueue.errors import DatabaseUnavailable
from service import environment
from service.dataset_cache import DatasetCache
from service.db import Database
from service.delivering import deliver_due, make_sender, purge_deliveries
from service.ids import new_id
from service.init_process import continue_below_init
from service.job_limits import JobLimits
from service.logs import configure_logging
from service.overdue import end_overdue
from service.preempting import preempt
from service.purging import apply_retention, purge, purge_audit_log, purge_unnamed_datasets
from service.queue import Notifier
from service.secrecy import hide_secrets
from service.settings import Settings
from service.storage import WORKER_RETRY_TIMEOUT, Storage, open_storage
from service.storage_marking import identity_reader
from service.store import workers as registry
from service.sweeping import sweep
from workers.shared.protocol import Devices
from workers.supervisor import unsaved
from workers.supervisor.celery_app import make_app
from workers.supervisor.context import Timeouts, WorkerContext
from workers.supervisor.devices import NVML, ListGPUs, processors
from workers.supervisor.draining import Drain
from workers.supervisor.fork_server import TRAINER, ForkServer
from workers.supervisor.free_slots import FreeSlots
from workers.supervisor.listener import Listener, add_tasks
from workers.supervisor.listening import listen_while_free
from workers.supervisor.memory import job_bytes
from workers.supervisor.notifications import notify_pools_with_work
from workers.supervisor.periodic import PeriodicTask
from workers.supervisor.reaper import Reaper, own_directory, remove_abandoned
from workers.supervisor.slots import SlotPool
from workers.supervisor.spares import SpareChildren
from workers.supervisor.stop_signals import StopSignals
from workers.supervisor.usage_meter import ReadGPUMemory
from workers.supervisor.versions import versions

_logger = logging.getLogger(__name__)

# The database is polled for jobs whatever Redis says, about every two to five seconds.
POLL_SECONDS: Final = 3.5
EXPIRY_SECONDS: Final = 1.0
PREEMPTION_SECONDS: Final = 1.0
LIVENESS_SECONDS: Final = 5.0
SWEEP_SECONDS: Final = 3600.0
PURGE_SECONDS: Final = 5.0
RETENTION_SECONDS: Final = 20.0
SPARES_SECONDS: Final = 0.5
IDLE_SECONDS: Final = 1.0
"""A slot that was idle for so long gets a spare child. Warming it up would slow down jobs that follow each other."""
DRAIN_SECONDS: Final = 2.0
WEBHOOK_SECONDS: Final = 2.0
LISTENER_STOP_SECONDS: Final = 52.0
"""A job that a notification started is trained in the listener's thread. This is what a supervisor may take when the
worker stops, and less than the minute that our containers get."""

LIVENESS_FILE: Final = "alive"
"""The file `alive.<host>` in a worker's directory is touched again and again while the worker is ready for jobs. The
host is in its name because containers share the folder, and each health check looks for its own worker."""


def main(list_gpus: ListGPUs | None = None, trainer: str = TRAINER) -> None:
    """Run a worker until it gets SIGTERM or SIGINT.

    Args:
        list_gpus: lists the GPUs; default: NVIDIA's.
        trainer: the module that training processes run.
    """
    hide_secrets()
    continue_below_init()
    settings = Settings()
    database = Database(settings.database_url)
    # It reads credentials, which the next line removes.
    storage = open_storage(settings, WORKER_RETRY_TIMEOUT, identity_reader(database))
    environment.drop_secrets()
    configure_logging(settings.log_level)
    signals = StopSignals()
    signals.install()
    # Now, and not only when the reaper runs: the file of its predecessor makes a restarted container look ready.
    remove_abandoned(settings.work_dir)
    fork_server = ForkServer(trainer)
    fork_server.start()
    nvml = NVML(os.environ.get("CUDA_VISIBLE_DEVICES"))
    worker = Worker(settings, database, storage, fork_server, signals, list_gpus or nvml.list_gpus, nvml.used_bytes)
    with own_directory(settings.work_dir, worker.id) as directory:
        worker.run(directory)
    # Not sys.exit: the exit handlers of Celery and of the database's driver may wait for a dead network.
    logging.shutdown()
    os._exit(0)


class Worker:
    """One worker, from its first heartbeat to its sign-off."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        storage: Storage,
        fork_server: ForkServer,
        signals: StopSignals,
        list_gpus: ListGPUs,
        read_gpu_memory: ReadGPUMemory,
    ) -> None:
        self.id = new_id("wk")
        self._settings = settings
        self._fork_server = fork_server
        self._signals = signals
        self._stopping = Event()
        """Set when the worker shuts down and its jobs must leave it."""
        self._database = database
        self._storage = storage
        self._unsaved_dir = settings.work_dir / "unsaved"
        self._notifier = Notifier(settings.redis_url)
        self._sender = make_sender(settings)
        self._list_gpus = list_gpus
        self._read_gpu_memory = read_gpu_memory

    def run(self, directory: Path) -> None:
        """Train jobs until a signal asks the worker to stop, then drain it and requeue the jobs that still train."""
        slots = FreeSlots(self._settings.slots)
        drain = Drain(self._database, self.id, slots)
        context = self._make_context(directory)
        slot_pool = SlotPool(context, self.id, self._settings.pools, slots, self._list_gpus, self._notifier)
        app = make_app(self._settings.redis_url, self._settings.pools, self._settings.slots)
        add_tasks(app, slot_pool, self._settings.pools, self._notifier)
        listen_while_free(app, slots)
        listener = Listener(app, self._settings.pools, self._stopping)
        reaper = Reaper(self._database, self._notifier, self._settings.work_dir)
        third = self._settings.lease_seconds / 3
        periodic_tasks = [
            PeriodicTask("heartbeat", self.heartbeat, third, self._stopping),
            # For the health check of the container. Whether heartbeats reach the database is a different question, and
            # not a reason to restart the worker.
            PeriodicTask("liveness", _liveness_file(directory).touch, LIVENESS_SECONDS, self._stopping),
            PeriodicTask("drain", drain.update, DRAIN_SECONDS, self._stopping),
            PeriodicTask("poller", slot_pool.start_work, POLL_SECONDS, self._stopping),
            PeriodicTask("expiry", reaper.expire_once, EXPIRY_SECONDS, self._stopping),
            PeriodicTask("queue deadlines", self.end_overdue, EXPIRY_SECONDS, self._stopping),
            PeriodicTask("preemption", self.preempt, PREEMPTION_SECONDS, self._stopping),
            PeriodicTask("reaper", reaper.run_once, third, self._stopping),
            PeriodicTask("sweeper", self.sweep_storage, SWEEP_SECONDS, self._stopping),
            PeriodicTask("unsaved files", self.sweep_unsaved, SWEEP_SECONDS, self._stopping),
            PeriodicTask("dataset purger", self.purge_datasets, SWEEP_SECONDS, self._stopping),
            PeriodicTask("audit purger", self.purge_audit_log, SWEEP_SECONDS, self._stopping),
            PeriodicTask("purger", self.purge_jobs, PURGE_SECONDS, self._stopping),
            PeriodicTask("webhooks", self.deliver_webhooks, WEBHOOK_SECONDS, self._stopping),
            PeriodicTask("delivery purger", self.purge_deliveries, SWEEP_SECONDS, self._stopping),
            PeriodicTask("retention", self.apply_retention, RETENTION_SECONDS, self._stopping),
        ]
        with ExitStack() as on_exit:
            if context.spares is not None:
                keep_ready = partial(context.spares.keep_ready, partial(slots.idle, IDLE_SECONDS))
                periodic_tasks.append(PeriodicTask("spares", keep_ready, SPARES_SECONDS, self._stopping))
                on_exit.callback(context.spares.close)
            on_exit.callback(self._sign_off)
            # Only this worker may have received the notification of a job that it has just requeued.
            on_exit.callback(notify_pools_with_work, self._database, self._notifier)
            on_exit.callback(listener.stop, LISTENER_STOP_SECONDS)
            on_exit.callback(slot_pool.close)
            on_exit.callback(listener.request_stop)
            on_exit.callback(self._stopping.set)
            for periodic_task in periodic_tasks:
                periodic_task.start()
            listener.start()
            _logger.info("The worker is ready.", extra={"worker": self.id, "pools": self._settings.pools})
            self._signals.asked.wait()
            drain.shut_down(self._settings.drain_seconds, self._signals.hurried)
            _logger.info("The worker stops and requeues its jobs.", extra={"worker": self.id})

    def heartbeat(self) -> None:
        """Record that the worker is alive; register it if the database does not know it."""
        gpus = self._list_gpus()
        names = [gpu.name for gpu in gpus] or [f"{self._settings.cpu_devices} CPU"]
        uuids = [gpu.uuid for gpu in gpus]
        use = [gpu.to_measured() for gpu in gpus]
        memory = job_bytes(self._settings.job_memory_bytes)
        with self._database.write() as session:
            if not registry.heartbeat(session, self.id, devices=names, gpus=uuids, memory_bytes=memory, gpu_use=use):
                registry.register(
                    session,
                    self.id,
                    host=socket.gethostname(),
                    pools=self._settings.pools,
                    slots=self._settings.slots,
                    devices=names,
                    gpus=uuids,
                    memory_bytes=memory,
                    gpu_use=use,
                    versions=versions(),
                )

    def end_overdue(self) -> None:
        end_overdue(self._database, self._settings.lease_seconds)

    def preempt(self) -> None:
        preempt(self._database, self._settings.lease_seconds, self._settings.turns_by)

    def sweep_storage(self) -> None:
        sweep(self._database, self._storage)

    def sweep_unsaved(self) -> None:
        unsaved.sweep(self._database, self._unsaved_dir)

    def purge_datasets(self) -> None:
        unused_for = timedelta(days=self._settings.unnamed_dataset_days)
        purge_unnamed_datasets(self._database, self._storage, unused_for, self._stopping)

    def purge_audit_log(self) -> None:
        purge_audit_log(self._database, timedelta(days=self._settings.audit_days), self._stopping)

    def purge_jobs(self) -> None:
        purge(self._database, self._storage, self._stopping)

    def deliver_webhooks(self) -> None:
        deliver_due(self._database, self._sender, self._stopping)

    def purge_deliveries(self) -> None:
        purge_deliveries(self._database, self._stopping)

    def apply_retention(self) -> None:
        apply_retention(self._database, self._storage, self._stopping)

    def _make_context(self, directory: Path) -> WorkerContext:
        settings = self._settings
        threads = max(1, processors() // settings.slots)
        return WorkerContext(
            database=self._database,
            storage=self._storage,
            datasets=DatasetCache(self._storage, settings.work_dir / "datasets", settings.dataset_cache_bytes),
            fork_server=self._fork_server,
            work_dir=directory,
            unsaved_dir=self._unsaved_dir,
            lease_seconds=settings.lease_seconds,
            cpu_devices=settings.cpu_devices,
            job_memory_bytes=settings.job_memory_bytes,
            threads=threads,
            snapshot_seconds=settings.snapshot_seconds,
            stopping=self._stopping,
            timeouts=Timeouts(silence=settings.silence_seconds),
            limits=JobLimits(
                checkpoints=settings.max_checkpoints,
                checkpoint_bytes=settings.max_checkpoint_bytes,
                artifact_bytes=settings.max_artifact_bytes,
                events=settings.max_events,
                log_bytes=settings.max_log_bytes,
            ),
            spares=self._make_spares(directory, threads),
            read_gpu_memory=self._read_gpu_memory,
            turns_by=settings.turns_by,
        )

    def _make_spares(self, directory: Path, threads: int) -> SpareChildren | None:
        if not self._settings.spare_children or self._list_gpus():
            return None
        devices = Devices(gpus=[], cpu_devices=self._settings.cpu_devices, threads=threads)
        return SpareChildren(self._fork_server, devices, directory)

    def _sign_off(self) -> None:
        try:
            with self._database.write() as session:
                registry.sign_off(session, self.id)
        except DatabaseUnavailable as error:
            _logger.warning("The worker could not sign off.", extra={"error": str(error)})


def _liveness_file(directory: Path) -> Path:
    return directory / f"{LIVENESS_FILE}.{socket.gethostname()}"
