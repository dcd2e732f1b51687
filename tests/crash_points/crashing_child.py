"""The real training process, except that it crashes where its job's name says, in the attempts that it says."""

from dataclasses import replace
from threading import Semaphore

from plan import Plan, crash, make_crash

from workers.shared.protocol import SnapshotWritten
from workers.trainer import checkpoints, reporting, resuming, run, training
from workers.trainer.control import Control

STEPS = {
    "save": (checkpoints, "write_snapshot", 2),
    "flush": (checkpoints, "flush_and_hash", 2),
    "rename": (checkpoints, "_sync", 2),  # before: the file is renamed, but its directory is not yet on the disk
    "snapshot": (resuming.Snapshots, "_take", 2),
    "report": (reporting.Reporting, "on_epoch_end", 0),
    "batch": (reporting.Reporting, "on_train_batch_begin", 2),
}
"""For each step: what does it, and after how many times it crashes. Each attempt crashes at a later position than the
one before, because a job that dies twice at one position ends."""


def crash_when_written():
    """Return a function that crashes when two snapshots are written.

    A snapshot is taken before another thread writes it, so with a slow disk two attempts could crash at one position.
    The first snapshot of an attempt may be from the position where it started, but the second one is from a later
    position.
    """
    written, emit = Semaphore(0), reporting.Reporter.emit

    def emit_and_count(reporter, message):
        emit(reporter, message)
        if isinstance(message, SnapshotWritten):
            written.release()

    reporting.Reporter.emit = emit_and_count

    def crash_then():
        written.acquire()
        written.acquire()
        crash()

    return crash_then


def main(pipes):
    read_start = Control.read_start

    def read_start_and_plan(control, warm_up):
        start = read_start(control, warm_up)
        plan = Plan.parse(start.spec["name"])
        if plan.step in STEPS and start.attempt <= plan.attempts:
            owner, attribute, count = STEPS[plan.step]
            act = crash_when_written() if plan.step == "snapshot" else crash
            make_crash(owner, attribute, plan.moment, plan.occurrence or count + start.attempt, act)
        if plan.without == "stop_flag":
            read = training.read_snapshot
            training.read_snapshot = lambda path: replace(read(path), stop_training=False)
        return start

    Control.read_start = read_start_and_plan
    run.main(pipes)
