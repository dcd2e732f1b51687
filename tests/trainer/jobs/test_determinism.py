"""Whether a resumed training is reported to be exact, and jobs that ask to be exact even on a GPU."""

from collections.abc import Callable
from typing import Any

from fitqueue.reports import SnapshotWritten
from fitqueue.states import Reason
from workers.shared.protocol import Resumed
from workers.trainer.fingerprint import differences

NOW = {"keras": "3.15.1", "gpus": "", "determinism": "off"}


def test_the_same_machine_gives_no_differences() -> None:
    assert differences(NOW, NOW) == []


def test_each_difference_is_listed() -> None:
    assert differences(NOW, NOW | {"keras": "3.14.0"}) == ["keras was 3.14.0, is 3.15.1"]


def test_a_gpu_is_exact_only_if_the_job_is_deterministic() -> None:
    on_gpu = NOW | {"gpus": "NVIDIA H100"}
    [difference] = differences(on_gpu, on_gpu)
    assert "`deterministic`" in difference
    deterministic = on_gpu | {"determinism": "on"}
    assert differences(deterministic, deterministic) == []


def test_a_deterministic_job_resumes_exactly(train: Callable[..., Any], make_spec: Callable[..., Any]) -> None:
    spec = make_spec(deterministic=True, fit={"epochs": 2, "batch_size": 256, "shuffle": True})
    whole = train(spec, snapshot_seconds=0)
    assert whole.outcome.reason is Reason.COMPLETED
    snapshot = whole.events_of(SnapshotWritten)[3]
    rest = train(spec, snapshot_seconds=0, snapshot=str(whole.directory / snapshot.file))
    assert [resumed.differences for resumed in rest.events_of(Resumed)] == [[]]
    assert rest.epochs[-1].logs == whole.epochs[-1].logs


def test_a_snapshot_without_determinism_is_a_difference(
    train: Callable[..., Any], make_spec: Callable[..., Any]
) -> None:
    fit = {"epochs": 2, "batch_size": 512}
    whole = train(make_spec(fit=fit), snapshot_seconds=0)
    snapshot = str(whole.directory / whole.events_of(SnapshotWritten)[0].file)
    [resumed] = train(make_spec(fit=fit, deterministic=True), snapshot=snapshot).events_of(Resumed)
    assert resumed.differences == ["determinism was off, is on"]
