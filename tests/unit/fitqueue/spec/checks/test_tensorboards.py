"""What TensorBoards profile and write; Keras finds it out when it creates or calls them, in the training."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from tests.unit.fitqueue.spec.jobs import layer, sequential_job

OnlyFault = Callable[[Any], Fault]
Parse = Callable[[Any], ParsedJob]


def job(*callbacks: dict[str, Any]) -> dict[str, Any]:
    """Return a job with TensorBoards that have these arguments."""
    named = [layer("TensorBoard", log_dir=f"logs{i}", **config) for i, config in enumerate(callbacks)]
    return sequential_job(layer("Input", shape=[12]), layer("Dense", units=1)) | {"callbacks": named}


@pytest.mark.parametrize(
    ("callbacks", "pointer", "code"),
    [
        ([{"profile_batch": [2, 1]}], "0/config/profile_batch", "out_of_range"),
        ([{"profile_batch": 2}, {"profile_batch": 2}], "1/config/profile_batch", "conflict"),
        ([{"profile_batch": [2, 3]}, {"profile_batch": [3, 5]}], "1/config/profile_batch", "conflict"),
        ([{"profile_batch": [3, 4]}, {"profile_batch": [2, 5]}], "1/config/profile_batch", "conflict"),
        ([{"profile_batch": 9}, {}, {"profile_batch": [2, 9]}], "2/config/profile_batch", "conflict"),
        ([{"update_freq": "batch"}, {"update_freq": 3}], "1/config/update_freq", "conflict"),
    ],
)
def test_what_would_fail(callbacks: list[dict[str, Any]], pointer: str, code: str, only_fault: OnlyFault) -> None:
    fault = only_fault(job(*callbacks))
    assert (fault.pointer, fault.code) == (f"/callbacks/{pointer}", code)


@pytest.mark.parametrize(
    "callbacks",
    [
        [{"profile_batch": [2, 2]}],
        [{"profile_batch": 0}, {"profile_batch": [0, 0]}, {}],
        [{"profile_batch": [2, 3]}, {"profile_batch": [4, 5]}],
        [{"profile_batch": [0, 5]}, {"profile_batch": 2}],  # Keras profiles nothing that begins at 0
        [{"profile_batch": 2}, {"update_freq": "batch"}],
        [{"update_freq": "epoch"}, {"update_freq": "batch"}],
    ],
)
def test_what_works(callbacks: list[dict[str, Any]], parse: Parse) -> None:
    assert len(parse(job(*callbacks)).spec.callbacks) == len(callbacks)
