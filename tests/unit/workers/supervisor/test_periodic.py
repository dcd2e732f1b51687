from threading import Event

from workers.supervisor.periodic import Duty

SECONDS = 10.0


def test_a_duty_that_fails_is_done_again() -> None:
    stopping, done_twice = Event(), Event()
    calls = []

    def run_once() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("the first time")
        done_twice.set()

    Duty("test", run_once, 0.001, stopping).start()
    assert done_twice.wait(SECONDS)
    stopping.set()


def test_a_duty_ends_with_the_worker() -> None:
    stopping, begun = Event(), Event()
    duty = Duty("test", begun.set, 3600.0, stopping)
    duty.start()
    assert begun.wait(SECONDS)
    stopping.set()
    assert duty.ended(SECONDS)
