"""Workers with their slots, on machines whose GPUs they share."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Worker:
    """A live worker. Workers that see the same GPUs are on one machine."""

    pools: frozenset[str]
    slots: int
    gpus: frozenset[str] = frozenset()


@dataclass(eq=False)
class Machine:
    """The GPUs that some workers share."""

    gpus: set[str]
    workers: "list[Slots]"
    free: int = 0


@dataclass(eq=False)
class Slots:
    """The free slots of a worker."""

    worker: Worker
    machine: Machine
    free: int


def on_machines(workers: Sequence[Worker]) -> list[Slots]:
    """Return the slots of each worker, all of them free. Workers that see a GPU in common share a machine."""
    machines: list[Machine] = []
    all_slots = []
    for worker in workers:
        shared = [machine for machine in machines if not machine.gpus.isdisjoint(worker.gpus)]
        machine = _merged(shared)
        machine.gpus |= worker.gpus
        slots = Slots(worker, machine, worker.slots)
        machine.workers.append(slots)
        machines = [other for other in machines if other not in shared] + [machine]
        all_slots.append(slots)
    for machine in machines:
        machine.free = len(machine.gpus)
    return all_slots


def _merged(machines: Sequence[Machine]) -> Machine:
    merged = Machine(set(), [])
    for machine in machines:
        merged.gpus |= machine.gpus
        merged.workers += machine.workers
    for slots in merged.workers:
        slots.machine = merged
    return merged
