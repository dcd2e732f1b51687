from threading import Event

from workers.supervisor.periodic import PeriodicTask

SECONDS = 120.0


def test_a_failing_task_is_tried_again() -> None:
    stopping, done_twice = Event(), Event()
    calls = []

    def run_once() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("the first time")
        done_twice.set()

    PeriodicTask("test", run_once, 0.001, stopping).start()
    assert done_twice.wait(SECONDS)
    stopping.set()


def test_a_task_ends_with_the_worker() -> None:
    stopping, begun = Event(), Event()
    periodic_task = PeriodicTask("test", begun.set, 3600.0, stopping)
    periodic_task.start()
    assert begun.wait(SECONDS)
    stopping.set()
    assert periodic_task.join(SECONDS)
