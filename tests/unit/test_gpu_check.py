"""What `make gpu-check` takes for a difference, and that it says so where there is no GPU."""

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


def test_near_is_near_enough() -> None:
    assert too_different(_trained(), _trained(loss=1.04, accuracy=0.515)) == []


@pytest.mark.parametrize(
    ("changed", "word"), [({"loss": 1.06}, "loss"), ({"accuracy": 0.53}, "val_accuracy"), ({"loss": None}, "loss")]
)
def test_too_far_is_told(changed: dict[str, Any], word: str) -> None:
    [told] = too_different(_trained(), _trained(**changed))
    assert told.startswith(f"epoch 1: {word} is ")


def test_another_number_of_epochs_is_no_comparison() -> None:
    with pytest.raises(ValueError, match="shorter"):
        too_different(_trained(), Trained([], {}, []))


def test_the_same_is_the_same_to_the_last_bit() -> None:
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
    """With the environment made, and a Python that ends with 7 for that of the environment."""
    for name, script in (("nvidia-smi", f"echo '{listed}'"), (".venv-gpu/bin/python", "exit 7")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    (tmp_path / ".venv-gpu" / ".made").touch()
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run([TOOL], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == code
    assert ("no GPU on this machine" in ended.stderr) == (code == 1)
