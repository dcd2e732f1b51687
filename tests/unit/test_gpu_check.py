"""What `make gpu-check` reports as a difference, and what it does on a machine without a GPU."""

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import gpu_check
from benchmarks.gpu_check import Trained, not_the_same, too_different
from workers.supervisor.devices import NVML

TOOL = Path(__file__).parents[2] / "tools" / "gpu-check"


def _trained(loss: float | None = 1.0, accuracy: float = 0.5, weight: float = 0.25) -> Trained:
    weights: dict[str, Any] = {"layers/dense/vars/0": np.full((2, 2), weight, "float32")}
    return Trained([{"loss": loss, "val_accuracy": accuracy}], weights, [1.0])


def test_small_differences_are_within_the_tolerance() -> None:
    assert too_different(_trained(), _trained(loss=1.04, accuracy=0.515)) == []


@pytest.mark.parametrize(
    ("changed", "metric"), [({"loss": 1.06}, "loss"), ({"accuracy": 0.53}, "val_accuracy"), ({"loss": None}, "loss")]
)
def test_large_differences_are_reported(changed: dict[str, Any], metric: str) -> None:
    [difference] = too_different(_trained(), _trained(**changed))
    assert difference.startswith(f"epoch 1: {metric} is ")


def test_trainings_of_different_lengths_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        too_different(_trained(), Trained([], {}, []))


def test_deterministic_trainings_must_be_equal_to_the_last_bit() -> None:
    assert not_the_same(_trained(), _trained()) == []
    assert len(not_the_same(_trained(), _trained(loss=1.0000001))) == 1
    assert len(not_the_same(_trained(), _trained(weight=float(np.nextafter(np.float32(0.25), 1))))) == 1


def test_without_a_gpu_nothing_is_checked() -> None:
    if NVML().list_gpus():
        pytest.skip("this machine has a GPU: `make gpu-check` is for it")
    with pytest.raises(SystemExit, match="no GPU on this machine"):
        gpu_check.main()


@pytest.mark.parametrize(("listed", "code"), [("", 1), ("GPU 0: NVIDIA H100 (UUID: GPU-1)", 7)])
def test_the_tool_looks_for_a_gpu_before_it_installs_anything(tmp_path: Path, listed: str, code: int) -> None:
    """The environment exists, and its Python is a program that exits with 7."""
    for name, script in (("nvidia-smi", f"echo '{listed}'"), (".venv-gpu/bin/python", "exit 7")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    (tmp_path / ".venv-gpu" / ".made").touch()
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    result = subprocess.run([TOOL], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == code
    assert ("no GPU on this machine" in result.stderr) == (code == 1)
