"""A worker's listener in a process of its own. It prints a line for each notification that starts work.

Usage: python -m tests.integration.workers.listens REDIS_URL full|free
"""

import sys
import time
from threading import Event

from service.queue import Notifier
from workers.supervisor.celery_app import make_app
from workers.supervisor.free_slots import FreeSlots
from workers.supervisor.listener import Listener, add_tasks
from workers.supervisor.listening import listen_while_free

POOLS = ("default",)


class PrintingSlotPool:
    """Has one slot, and prints when it could work."""

    def __init__(self) -> None:
        self.slots = FreeSlots(1)

    def work(self) -> bool:
        if not self.slots.acquire():
            return False
        sys.stdout.write("work\n")
        sys.stdout.flush()
        self.slots.release()
        return True


def main(redis_url: str, slot: str) -> None:
    slot_pool = PrintingSlotPool()
    app = make_app(redis_url, POOLS, slots=1)
    add_tasks(app, slot_pool, POOLS, Notifier(redis_url))  # type: ignore[arg-type]
    listen_while_free(app, slot_pool.slots)
    Listener(app, POOLS, Event()).start()
    sys.stdin.readline()
    if slot == "full":
        while not slot_pool.slots.acquire():  # it prints before it frees the slot
            time.sleep(0.01)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    if slot == "full":
        slot_pool.slots.release()
    sys.stdin.readline()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
