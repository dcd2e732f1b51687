"""The real training process, which crashes where its job's name tells, in the attempts that it tells."""

from dataclasses import replace

from plan import Plan, make_crash

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


def main(pipes):
    read_start = Control.read_start

    def reading(control):
        start = read_start(control)
        plan = Plan.of(start.spec["name"])
        if plan.step in STEPS and start.attempt <= plan.attempts:
            owner, attribute, enough = STEPS[plan.step]
            make_crash(owner, attribute, plan.moment, plan.occurrence or enough + start.attempt)
        if plan.without == "stop_flag":
            read = training.read_snapshot
            training.read_snapshot = lambda path: replace(read(path), stop_training=False)
        return start

    Control.read_start = reading
    run.main(pipes)
