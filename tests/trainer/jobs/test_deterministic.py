"""What is said of a resumed training whose numbers may differ, and the wish that they may not, on a GPU either."""

from collections.abc import Callable
from typing import Any

from fitqueue.states import Reason
from workers.shared.protocol import Resumed, SnapshotWritten
from workers.trainer.resuming import differences

NOW = {"keras": "3.15.1", "gpus": "", "determinism": "off"}


def test_nothing_differs_on_the_same_machine() -> None:
    assert differences(NOW, NOW) == []


def test_each_thing_that_differs_is_told() -> None:
    assert differences(NOW, NOW | {"keras": "3.14.0"}) == ["keras was 3.14.0, is 3.15.1"]


def test_a_gpu_is_exact_only_where_the_job_asks_for_it() -> None:
    on_gpu = NOW | {"gpus": "NVIDIA H100"}
    [told] = differences(on_gpu, on_gpu)
    assert "`deterministic`" in told
    asked = on_gpu | {"determinism": "on"}
    assert differences(asked, asked) == []


def test_a_deterministic_job_goes_on_exactly(train: Callable[..., Any], make_spec: Callable[..., Any]) -> None:
    spec = make_spec(deterministic=True, fit={"epochs": 2, "batch_size": 256, "shuffle": True})
    whole = train(spec, snapshot_seconds=0)
    assert whole.ending.reason is Reason.COMPLETED
    middle = whole.of(SnapshotWritten)[3]
    rest = train(spec, snapshot_seconds=0, snapshot=str(whole.directory / middle.file))
    assert [resumed.differences for resumed in rest.of(Resumed)] == [[]]
    assert rest.epochs[-1].logs == whole.epochs[-1].logs


def test_a_snapshot_of_other_operations_is_not_called_exact(
    train: Callable[..., Any], make_spec: Callable[..., Any]
) -> None:
    fit = {"epochs": 2, "batch_size": 512}
    whole = train(make_spec(fit=fit), snapshot_seconds=0)
    snapshot = str(whole.directory / whole.of(SnapshotWritten)[0].file)
    [resumed] = train(make_spec(fit=fit, deterministic=True), snapshot=snapshot).of(Resumed)
    assert resumed.differences == ["determinism was off, is on"]
