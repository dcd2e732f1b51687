"""Slots are taken and released, and count as idle only when nothing has changed for a while."""

import pytest

from workers.supervisor import free_slots
from workers.supervisor.free_slots import FreeSlots


def test_no_more_slots_are_taken_than_there_are() -> None:
    slots = FreeSlots(2)
    assert [slots.acquire() for _ in range(3)] == [True, True, False]
    slots.release()
    assert slots.count == 1
    assert slots.acquire()


def test_a_release_is_told() -> None:
    slots, counts = FreeSlots(1), []
    slots.on_release = lambda: counts.append(slots.count)
    slots.acquire()
    assert counts == []
    slots.release()
    assert counts == [1]


def test_slots_are_idle_when_nothing_has_changed_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(free_slots.time, "monotonic", lambda: now)
    slots = FreeSlots(2)
    assert slots.idle(1.0) == 0
    now = 101.0
    assert slots.idle(1.0) == 2
    slots.acquire()
    assert slots.idle(1.0) == 0
    now = 102.5
    assert slots.idle(1.0) == 1


def test_closed_slots_are_not_taken_and_those_that_are_taken_stay_so() -> None:
    slots, counts = FreeSlots(2), []
    slots.on_release = lambda: counts.append(slots.count)
    slots.acquire()
    slots.close()
    assert (slots.acquire(), slots.count, slots.are_in_use) == (False, 0, True)
    slots.release()
    assert (slots.acquire(), slots.are_in_use) == (False, False)
    for _ in range(2):
        slots.open()
    assert counts == [0, 2], "told once: the second time they were open"
    assert slots.acquire()


def test_to_open_open_slots_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(free_slots.time, "monotonic", lambda: now)
    slots = FreeSlots(2)
    now = 105.0
    slots.open()
    assert slots.idle(5.0) == 2
    slots.close()
    slots.open()
    assert slots.idle(5.0) == 0
