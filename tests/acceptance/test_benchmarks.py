"""Benchmarks measure jobs that succeeded, with all of their work, and nothing else."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import fitqueue
from benchmarks import common, overhead, poll, startup, throughput
from benchmarks.durability import __main__ as durability
from benchmarks.pages import __main__ as pages
from benchmarks.queues import Throughput
from fitqueue.states import EventKind, JobState
from service.stack import Stack
from tools.installed_browser import find_browser


def failing_job(*_: Any, **__: Any) -> dict[str, Any]:
    """Return a job whose loss is NaN after a step or two."""
    job = common.cnn_job("digits", epochs=1, learning_rate=1e38)
    return job | {"callbacks": [{"class_name": "TerminateOnNaN", "config": {}}]}


@pytest.mark.parametrize(
    "measure",
    [
        startup.seconds_to_first_step,
        lambda client: throughput.measure_jobs(client, 1),
        lambda client: overhead.train(client, failing_job(), psutil.Process()),
    ],
    ids=["startup", "throughput", "overhead"],
)
def test_a_job_that_fails_is_not_measured(
    client: fitqueue.Client, monkeypatch: pytest.MonkeyPatch, measure: Callable[[fitqueue.Client], object]
) -> None:
    monkeypatch.setattr(startup, "cnn_job", failing_job)
    monkeypatch.setattr(throughput, "cnn_job", failing_job)
    with pytest.raises(SystemExit, match="failed, so there is nothing to measure"):
        measure(client)


def test_a_job_is_measured_until_its_last_file_is_stored(client: fitqueue.Client, stack: Stack) -> None:
    run = overhead.train(client, common.cnn_job("digits", epochs=1), psutil.Process(stack.processes["worker"].pid))
    job = next(client.list(state=JobState.SUCCEEDED))
    assert job.finished_at is not None
    [epoch_ended_at] = [event.at for event in client.events(job.id) if event.kind == EventKind.EPOCH_ENDED]
    last_stored_at = max(checkpoint.created_at for checkpoint in client.checkpoints(job.id))
    assert epoch_ended_at < last_stored_at <= job.finished_at
    assert 0 < run.seconds_after_fit < run.seconds
    assert (job.finished_at - epoch_ended_at).total_seconds() < run.seconds
    assert run.cpu_seconds > 0


def test_the_file_of_an_option_is_used_instead_of_mnist(tmp_path: Path) -> None:
    with common.mnist_or_synthetic(tmp_path / "mine.npz") as data:
        assert data == tmp_path / "mine.npz"


def test_without_mnist_there_is_synthetic_data_of_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "MNIST", tmp_path / "nowhere.npz")
    with common.mnist_or_synthetic(None) as data, np.load(data) as arrays:
        shapes = {name: arrays[name].shape for name in arrays}
    assert shapes["x_train"] == (60_000, 28, 28)
    assert shapes["y_test"] == (10_000,)
    assert not data.exists()


def test_the_last_line_has_the_figures_and_the_ratios_to_fitqueue(capsys: pytest.CaptureFixture[str]) -> None:
    runs = {
        "fitqueue": [Throughput(jobs=12, seconds=seconds, first=2.0, idle_megabytes=500.0) for seconds in (10, 12, 20)],
        "plain": [Throughput(jobs=12, seconds=60.0, first=8.0, idle_megabytes=0.0)],
    }
    throughput.report_all(runs)
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["jobs_per_minute"] == {"fitqueue": 60.0, "plain": 12.0}
    assert figures["fitqueue_ratio"] == {"fitqueue": 1.0, "plain": 5.0}
    assert [run["seconds"] for run in figures["runs"]["fitqueue"]] == [10, 12, 20]


def test_a_part_of_durability_is_measured_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(extent: durability.Extent, data: Path | None) -> tuple[durability.Rows, durability.Figures]:
        assert extent is durability.SHORT
        return [("claims", "7")], {"claims_per_second": 7}

    monkeypatch.setattr(durability, "PARTS", {"claims": measure, "snapshots": None})
    durability.main(["claims", "--short"])
    assert json.loads(capsys.readouterr().out) == {"benchmark": "durability", "short": True, "claims_per_second": 7}
    with pytest.raises(SystemExit):
        durability.main(["everything"])
    assert "the parts are claims, snapshots" in capsys.readouterr().err


def test_the_cost_of_open_pages_counts_the_requests_that_pages_send(capsys: pytest.CaptureFixture[str]) -> None:
    pages.main(["cost", "--short"])
    [cost] = json.loads(capsys.readouterr().out.splitlines()[-1])["cost"].values()
    assert 0 < cost["api_cpu"] < 1
    assert 0 < cost["requests_a_second"]["news"] <= 1.1 * pages.SHORT.pages


def test_a_light_poll_is_a_small_part_of_a_full_one(tmp_path: Path) -> None:
    polls = poll.measure(f"sqlite:///{tmp_path / 'fitqueue.db'}", str(tmp_path), seconds=0.1)
    assert polls["light"].bytes < 1_000 < polls["full"].bytes
    assert polls["full, unchanged"].bytes == polls["light, unchanged"].bytes == 0
    assert all(each.cpu_milliseconds > 0 and each.polls_a_second > 0 for each in polls.values())


@pytest.mark.skipif("CI" not in os.environ and not find_browser(), reason="no browser is installed")
def test_pages_are_measured_in_a_browser(capsys: pytest.CaptureFixture[str]) -> None:
    pages.main(["loading", "redraw", "requests", "--short"])
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    for name, loads in figures["loading"].items():
        assert loads["cold"]["bytes"] > 0, name
        assert ("drawn_seconds" in loads["cold"]) == ("epochs" in name), name
    assert figures["loading"]["a job of 300 epochs"]["cold"]["bytes"] > 1e6, "with the charts' library"
    assert figures["loading"]["a job of 300 epochs"]["warm"]["bytes"] < 1e6, "without it"
    assert figures["redraw"]["epochs"] == 20 * pages.SHORT.epochs
    assert figures["redraw"]["cpu_seconds"] > 0
    counts = figures["requests_a_minute"]
    assert [page["hidden"] for page in counts.values()] == [0, 0, 0]
    assert counts["a running job"]["visible"] > counts["an ended job"]["visible"]
