"""The real training process, which crashes where its job's name tells, in the attempts that it tells."""

from dataclasses import replace
from threading import Semaphore

from plan import Plan, crash, make_crash

from workers.shared.protocol import SnapshotWritten
from workers.trainer import checkpoints, reporting, resuming, run, training
from workers.trainer.control import Control

STEPS = {
    "save": (checkpoints, "write_snapshot", 2),
    "flush": (checkpoints, "flushed", 2),
    "rename": (checkpoints, "_sync", 2),  # before it: renamed, and the directory not yet on the disk
    "snapshot": (resuming.Snapshots, "_take", 2),
    "announce": (reporting.Reporter, "say", 8),
    "batch": (reporting.Reporting, "on_train_batch_begin", 2),
}
"""A step, what does it, and how often it may before a crash. Never at the place of the attempt before: a job that dies
twice at one place is to blame for it, and ends."""


def crash_when_stored():
    """Snapshots are taken before another thread writes them: with a slow disk two attempts would crash at one place.

    The first that an attempt writes may be of the place where it began, the second is of a later one.
    """
    stored, say = Semaphore(0), reporting.Reporter.say

    def saying(reporter, message):
        say(reporter, message)
        if isinstance(message, SnapshotWritten):
            stored.release()

    reporting.Reporter.say = saying

    def do():
        stored.acquire()
        stored.acquire()
        crash()

    return do


def main(pipes):
    read_start = Control.read_start

    def reading(control):
        start = read_start(control)
        plan = Plan.of(start.spec["name"])
        if plan.step in STEPS and start.attempt <= plan.attempts:
            owner, attribute, enough = STEPS[plan.step]
            do = crash_when_stored() if plan.step == "snapshot" else crash
            make_crash(owner, attribute, plan.moment, plan.occurrence or enough + start.attempt, do)
        if plan.without == "stop_flag":
            read = training.read_snapshot
            training.read_snapshot = lambda path: replace(read(path), stop_training=False)
        return start

    Control.read_start = reading
    run.main(pipes)
