"""How far off the forecast is, in a simulated week. `python -m benchmarks.forecast` simulates a month."""

import json

import pytest

from benchmarks import forecast
from benchmarks.simulated_queue import simulate


def test_a_week_of_jobs_is_forecast_well() -> None:
    outcome = simulate(days=7, seed=3)
    accuracies = outcome.accuracies()
    running, starts = accuracies["running_estimates"], accuracies["starts_estimates"]
    assert running.count > 200
    assert running.median_error < 0.04
    assert running.p90_error < 0.15
    assert starts.count > 20
    assert starts.median_error < 0.1
    assert starts.p90_error < 0.4
    for bounds in (accuracies["running_bounds"], accuracies["starts_bounds"]):
        assert bounds.count > 50
        assert bounds.held > 0.85
    assert accuracies["starts_bounds"].median_error < 0.4
    known = len(outcome.running) + len(outcome.starts)
    assert outcome.unknown_running + outcome.unknown_starts < 0.1 * known


def test_the_benchmark_prints_its_figures_last(capsys: pytest.CaptureFixture[str]) -> None:
    forecast.main(["--days", "2", "--seed", "1"])
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (figures["benchmark"], figures["days"]) == ("forecast", 2)
    assert figures["running_estimates"]["median_error"] < 0.1
    assert figures["unknown"].keys() == {"running", "starts"}
