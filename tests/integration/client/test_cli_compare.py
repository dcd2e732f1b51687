"""`fitqueue compare` and `fitqueue show --curve`, with a real service."""

import json
from typing import Any

import pytest

from fitqueue.client import Client


@pytest.fixture
def trained(job: dict[str, Any], service: Any, client: Client) -> list[str]:
    """The ids of two jobs that differ in their epochs; the second one is better."""
    jobs = (("slow", 4), ("fast", 8))
    ids = [client.submit({**job, "name": name, "fit": {"epochs": epochs}}).id for name, epochs in jobs]
    for epochs, factor in ((4, 1.0), (8, 0.5)):
        worker = service.claim()
        for epoch in range(1, epochs + 1):
            worker.epoch(epoch, factor / epoch)
        worker.checkpoint(["best", "last"], epochs, b"weights", 2 * factor / epochs)
        worker.finish()
    return ids


def test_compare_shows_bests_curves_and_differences(run: Any, trained: list[str]) -> None:
    code, out, err = run("compare", "slow", trained[1])
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[1].split()[:7] == ["A", "slow", trained[0], "succeeded", "val_loss", "0.5", "4"]
    assert lines[2].split()[:7] == ["B", "fast", trained[1], "succeeded", "val_loss", "0.125", "8"]
    start = lines.index("val_loss")
    plot = lines[start + 1 : start + 12]
    assert plot[0].startswith("    2 │A")
    assert plot[9].startswith("0.125 │")
    assert plot[9].endswith("B")
    assert plot[10].split() == ["epoch", "1", "8"]
    assert max(map(len, plot)) <= 80
    assert ["/fit/epochs", "4", "8"] in [line.split() for line in lines]
    assert "/compile/loss" not in out, "it is the same"


def test_compare_draws_the_metric_that_is_asked_for(run: Any, trained: list[str]) -> None:
    out, err = run("compare", *trained, "--metric", "loss", "--metric", "auc")[1:]
    assert "\nloss\n" in out
    assert "\nval_loss\n" not in out
    assert err == "auc: there is no finite value to draw.\n"


def test_compare_as_json(run: Any, trained: list[str]) -> None:
    answer = json.loads(run("compare", *trained, "--json")[1])
    assert [job["id"] for job in answer["jobs"]] == trained
    [epochs] = [row for row in answer["differences"] if row["pointer"] == "/fit/epochs"]
    assert epochs["values"] == dict(zip(trained, (4, 8), strict=True))


def test_compare_needs_two_different_jobs(run: Any, trained: list[str]) -> None:
    for words in ([trained[0]], [trained[0], "slow"]):
        code, out, err = run("compare", *words)
        assert (code, out) == (3, "")
        assert "Expected 2 to 26 different jobs." in err
    assert "There is no job 'nobody'" in run("compare", trained[0], "nobody")[2]


def test_show_draws_the_curves(run: Any, trained: list[str]) -> None:
    out = run("show", "slow", "--curve")[1]
    assert "\nloss: • train 0.25, o validation 0.5\n" in out
    assert "   2 │o" in out
    assert "0.25 │" in out
    assert "│" not in run("show", "slow")[1]
