"""What a follower prints while it is given the views of a job, on a recorded console."""

from collections.abc import Sequence
from io import StringIO

import pytest
from rich.console import Console
from rich.live import Live

from fitqueue.fit import bars
from fitqueue.fit.bars import BarFollower, LineFollower, resolve
from fitqueue.fit.followers import Follower
from fitqueue.states import JobState
from fitqueue.views import EpochView, JobView
from tests.unit.fitqueue.views import epoch_view, job_view

EPOCHS = [epoch_view(number, {"loss": 1 / number}) for number in range(1, 5)]


def fetch(after: int) -> Sequence[EpochView]:
    return [epoch for epoch in EPOCHS if epoch.epoch > after]


def queued() -> JobView:
    queue = {"position": 2, "waiting_for": "a free\x1b[31m worker"}
    return job_view(JobState.QUEUED, queue=queue, progress={"epoch": 0, "step": 0, "steps": None, "eta_seconds": None})


def running(epoch: int, step: int = 12) -> JobView:
    return job_view(progress={"epoch": epoch, "step": step, "epochs": 4, "metrics": {"loss": 0.75}})


def succeeded() -> JobView:
    best = {"epoch": 4, "monitor": "val_loss", "value": 0.25}
    return job_view(
        JobState.SUCCEEDED,
        reason="completed",
        best=best,
        progress={"epoch": 4, "epochs": 4, "step": 23, "percent": 100},
    )


def terminal(width: int = 80) -> Console:
    return Console(file=StringIO(), force_terminal=True, width=width, color_system=None, legacy_windows=False)


def printed(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_lines_tell_each_epoch_once_and_how_the_job_ended() -> None:
    console = Console(file=StringIO(), width=40)
    follower = LineFollower(fetch, console)
    for job in (queued(), queued(), running(1), running(3), running(3, 20), running(4), succeeded()):
        follower.update(job)
    lines = printed(console).splitlines()
    assert lines[0] == "job_1 (digits): queued, number 2, waiting for a free\\x1b[31m worker"
    assert lines[1] == "job_1 (digits): running, epoch 1/4, step 12/23, 42 s left"
    assert [line.partition(" - ")[0] for line in lines[2:-1]] == ["Epoch 1/4", "Epoch 2/4", "Epoch 3/4", "Epoch 4/4"]
    assert lines[-1] == "job_1: succeeded, epoch 4/4 - best val_loss 0.2500 in epoch 4"
    assert follower.epochs == EPOCHS


def test_the_bar_shows_the_running_epoch_and_leaves_only_lines() -> None:
    console = terminal()
    with Live(console=console, transient=True, auto_refresh=False) as live:
        follower = BarFollower(fetch, console, live)
        for job in (queued(), running(1), running(3)):
            follower.update(job)
            live.refresh()
        shown = printed(console)
        assert "job_1 (digits): queued, number 2, waiting for a free\\x1b[31m worker" in shown
        assert "Epoch 3/4 12/23 ━━━━━━━━━━━━━━━━━━━━ ETA 42s - loss: 0.7500" in shown
        follower.update(succeeded())
    last = printed(console)
    assert "Epoch 4/4 23/23 ━━━━━━━━━━━━━━━━━━━━ 1.4s 8ms/step - loss: 0.2500" in last
    assert "ETA" not in last[last.rindex("\r") :]


def test_a_job_that_failed_or_stopped_early_says_why() -> None:
    console = Console(file=StringIO())
    failed = job_view(JobState.FAILED, reason="nan_loss", message="The loss is NaN.", progress={"epoch": 2, "step": 3})
    LineFollower(lambda after: [], console).update(failed)
    assert printed(console).splitlines() == ["job_1: failed, epoch 2/20: The loss is NaN."]


def test_a_follower_by_itself_is_silent_and_keeps_the_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    follower = Follower(fetch)
    for job in (running(3), succeeded()):
        follower.update(job)
    assert follower.job == succeeded()
    assert follower.epochs == EPOCHS
    assert capsys.readouterr() == ("", "")


def test_the_time_that_is_left_is_estimated_while_the_service_does_not_know_it() -> None:
    now = 100.0
    follower = Follower(lambda after: [], clock=lambda: now)

    def eta(epoch: int, step: int, eta_seconds: float | None = None) -> float | None:
        progress = {"epoch": epoch, "epochs": 2, "step": step, "steps": 10, "eta_seconds": eta_seconds}
        follower.update(job_view(progress=progress))
        return follower.eta_seconds

    assert eta(1, 2) is None
    now = 103.0
    assert eta(1, 5) == 15.0, "one step a second, and 15 of 20 are left"
    assert eta(1, 6, 99.0) == 99.0, "the service knows it"
    assert eta(1, 1) is None, "another attempt began anew"


@pytest.mark.parametrize(
    ("verbose", "on_terminal", "in_notebook", "elsewhere"),
    [("auto", 1, 1, 2), (1, 1, 1, 2), (2, 2, 2, 2), (0, 0, 0, 0)],
)
def test_verbose(
    verbose: str | int, on_terminal: int, in_notebook: int, elsewhere: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = Console(file=StringIO())
    assert resolve(verbose, terminal()) == on_terminal
    assert resolve(verbose, pipe) == elsewhere
    monkeypatch.setattr(bars.notebook, "is_running", lambda: True)
    assert resolve(verbose, pipe) == in_notebook
