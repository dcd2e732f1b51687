"""A worker whose slots are all taken receives no notifications: an idle worker gets them at once.

Celery asks the connection to Redis before each read whether it may consume another message. A part of the consumer, as
Celery's documentation calls a «bootstep», adds the question whether a slot is free. A read that is under way when the
last slot is taken goes on for a second; `add_tasks` sends again what it receives.
"""

import os
from contextlib import suppress
from types import MethodType
from typing import Any

from celery import Celery, bootsteps

from workers.supervisor.free_slots import FreeSlots


def listen_while_free(app: Celery, free_slots: FreeSlots) -> None:
    """Make the application's consumer read from Redis only while a slot is free."""

    class ListenWhileFree(_ListenWhileFree):
        slots = free_slots

    app.steps["consumer"].add(ListenWhileFree)


class _ListenWhileFree(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
    """Celery creates it with each consumer, and starts it with each connection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    slots: FreeSlots

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._wake_reader, self._wake_writer = os.pipe()
        for descriptor in (self._wake_reader, self._wake_writer):
            os.set_blocking(descriptor, False)

    def start(self, consumer: Any) -> None:
        channel = consumer.task_consumer.channel
        may_consume = channel.qos.can_consume

        def can_consume(_qos: Any) -> bool:
            # The answer of a read that is under way may hold a notification. If the channel could not consume, it would
            # keep that unread until a slot is free, and no idle worker could get it.
            return (self.slots.count > 0 or bool(channel._in_poll)) and bool(may_consume())

        channel.qos.can_consume = MethodType(can_consume, channel.qos)
        # The loop looks at the slots once in a second at least. A free slot wakes it up.
        consumer.hub.add_reader(self._wake_reader, self._on_wake)
        self.slots.on_release = self._wake

    def stop(self, consumer: Any) -> None:
        self.slots.on_release = lambda: None
        with suppress(Exception):  # the loop may be gone
            consumer.hub.remove(self._wake_reader)

    def terminate(self, consumer: Any) -> None:
        self.stop(consumer)

    def shutdown(self, consumer: Any) -> None:  # noqa: ARG002 -- Celery passes it
        for descriptor in (self._wake_reader, self._wake_writer):
            with suppress(OSError):
                os.close(descriptor)

    def _wake(self) -> None:
        with suppress(OSError):  # full: it wakes up anyway; closed: nobody listens
            os.write(self._wake_writer, b"\0")

    def _on_wake(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_reader, 4096)
