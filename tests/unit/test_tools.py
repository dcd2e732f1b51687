"""The scripts that create the environment, before there is one."""

import os
import subprocess
from pathlib import Path

import pytest

FIND_UV = Path(__file__).parents[2] / "tools" / "find-uv"

# Stand-ins for uv: one that supports everything, two that are too old for a flag, one whose launcher is broken.
NEW = "exit 0"
WITHOUT_CLEAR = 'case "$*" in *--clear*) echo "error: unexpected argument" >&2; exit 2; esac'
WITHOUT_HASHES = 'case "$*" in *--require-hashes*) exit 2; esac'
BROKEN = "exit 127"


def _write_program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("on_path", "is_used"),
    [(NEW, True), (WITHOUT_CLEAR, False), (WITHOUT_HASHES, False), (BROKEN, False), (None, False)],
)
def test_a_uv_that_is_too_old_is_not_used(tmp_path: Path, on_path: str | None, is_used: bool) -> None:
    _write_program(tmp_path / ".tools" / "bin" / "uv", NEW)  # as if fetched before: tests use no package index
    uv_on_path = tmp_path / "path" / "uv"
    if on_path is not None:
        _write_program(uv_on_path, on_path)
    environment = {**os.environ, "PATH": str(uv_on_path.parent)}
    result = subprocess.run(
        [FIND_UV, "python3"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == (str(uv_on_path) if is_used else ".tools/bin/uv")
    assert result.stderr == ""
