"""The scripts that make the environment, before there is one."""

import os
import subprocess
from pathlib import Path

import pytest

FIND_UV = Path(__file__).parents[2] / "tools" / "find-uv"

# What stands in for uv: one that knows everything, one that is older than a flag, one whose launcher is broken.
NEW = "exit 0"
WITHOUT_CLEAR = 'case "$*" in *--clear*) echo "error: unexpected argument" >&2; exit 2; esac'
WITHOUT_HASHES = 'case "$*" in *--require-hashes*) exit 2; esac'
BROKEN = "exit 127"


def _program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("on_path", "is_used"),
    [(NEW, True), (WITHOUT_CLEAR, False), (WITHOUT_HASHES, False), (BROKEN, False), (None, False)],
)
def test_a_uv_that_is_too_old_is_as_good_as_none(tmp_path: Path, on_path: str | None, is_used: bool) -> None:
    _program(tmp_path / ".tools" / "bin" / "uv", NEW)  # as fetched before: a test asks no package index
    theirs = tmp_path / "theirs" / "uv"
    if on_path is not None:
        _program(theirs, on_path)
    environment = {**os.environ, "PATH": str(theirs.parent)}
    found = subprocess.run(
        [FIND_UV, "python3"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == (str(theirs) if is_used else ".tools/bin/uv")
    assert found.stderr == ""
