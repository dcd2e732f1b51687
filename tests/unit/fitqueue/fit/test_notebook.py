"""Which pictures a notebook gets, and that they replace each other. Acceptance tests look at real notebooks."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from fitqueue.fit import bars, notebook
from fitqueue.pictures.picture import Picture
from fitqueue.states import JobState
from fitqueue.views import EpochView
from tests.unit.fitqueue.views import epoch_view, job_view


class Screen:
    """What IPython was asked to show: a list for each output, the last one of which is seen."""

    def __init__(self) -> None:
        self.outputs: list[list[Picture]] = []

    def display(self, picture: Picture, *, display_id: bool) -> Any:
        assert display_id
        shown = [picture]
        self.outputs.append(shown)
        return SimpleNamespace(update=shown.append)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A notebook whose clock goes on by a second with each look at it."""
    seen = Screen()
    ipython = ModuleType("IPython")
    vars(ipython).update(display=seen, get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    ticks = iter(range(1_000_000))
    monkeypatch.setattr(notebook.time, "monotonic", lambda: float(next(ticks)))
    return seen


def fetch(after: int) -> list[EpochView]:
    return [epoch_view(number, {"loss": 1 / number}) for number in range(after + 1, 4)]


def test_ipython_on_a_terminal_is_not_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    ipython = ModuleType("IPython")
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    vars(ipython).update(get_ipython=lambda: None)
    assert not notebook.is_running()
    vars(ipython).update(get_ipython=lambda: SimpleNamespace(kernel=None))
    assert not notebook.is_running()
    vars(ipython).update(get_ipython=lambda: SimpleNamespace(kernel=object()))
    assert notebook.is_running()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not notebook.is_running()


def test_a_training_is_one_output_that_is_replaced(screen: Screen) -> None:
    with bars.following("auto", fetch) as follower:
        follower.update(job_view())
        follower.update(job_view(progress={"step": 20}))
        follower.update(job_view(JobState.SUCCEEDED, reason="completed"))
    [shown] = screen.outputs
    assert ["step 12/23" in shown[0].text, "step 20/23" in shown[1].text, "succeeded" in shown[-1].text] == [True] * 3
    assert "<svg" in shown[-1].html


def test_pictures_that_follow_too_soon_are_left_out_but_for_the_last(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook.time, "monotonic", lambda: 100.0)
    with bars.following(1, fetch) as follower:
        for step in range(1, 20):
            follower.update(job_view(progress={"step": step}))
        follower.update(job_view(JobState.SUCCEEDED, reason="completed"))
    [shown] = screen.outputs
    assert ["running" in shown[0].text, "succeeded" in shown[1].text, len(shown)] == [True, True, 2]


def test_detaching_stays_in_the_picture(screen: Screen) -> None:
    with bars.following(1, fetch) as follower:
        follower.update(job_view())
        follower.detach('To follow it: client.attach("job_1", model)')
    assert "client.attach(&quot;job_1&quot;, model)" in screen.outputs[0][-1].html
    assert screen.outputs[0][-1].text.endswith('client.attach("job_1", model)')


def test_the_job_takes_the_place_of_the_transfer(screen: Screen) -> None:
    with bars.uploading("auto") as transfers:
        transfers.collecting(1_500_000)
        transfers.sending(1_000_000, 4_000_000)
    with bars.following("auto", fetch, transfers) as follower:
        follower.update(job_view(JobState.SUCCEEDED, reason="completed"))
    [shown] = screen.outputs
    assert [picture.text for picture in shown[:3]] == [
        "Taking batches: 1.5 MB", "Uploading 1.0 of 4.0 MB", "Uploaded the data and the weights",
    ]  # fmt: skip
    assert "width:25.0%" in shown[1].html
    assert "succeeded" in shown[3].text


def test_a_transfer_that_fails_stays_as_it_was(screen: Screen) -> None:
    def interrupted() -> None:
        with bars.uploading("auto") as transfers:
            transfers.sending(1_000_000, 4_000_000)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [picture.text for picture in screen.outputs[0]] == ["Uploading 1.0 of 4.0 MB"]


@pytest.mark.parametrize("verbose", [0, 2])
def test_without_a_bar_nothing_is_displayed(screen: Screen, verbose: int) -> None:
    with bars.uploading(verbose) as transfers:
        transfers.sending(1, 2)
    with bars.following(verbose, fetch) as follower:
        follower.update(job_view())
    assert screen.outputs == []
