"""The memory of the machine, and of one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.supervisor.memory import MemoryGuard, job_bytes, machine_bytes, private_bytes

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
MIB = 2**20


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, PHYSICAL),
        ({"memory.max": "max\n"}, PHYSICAL),
        ({"memory.max": "536870912\n"}, 2**29),
        ({"memory/memory.limit_in_bytes": "268435456\n"}, 2**28),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, PHYSICAL),
    ],
    ids=["no container", "version 2 without a limit", "version 2", "version 1", "version 1 without a limit"],
)
def test_the_memory_of_a_container_is_its_limit(files: dict[str, str], expected: int, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert machine_bytes(tmp_path) == expected


def test_a_job_may_take_its_bound_or_what_the_machine_has() -> None:
    assert (job_bytes(None), job_bytes(10**18), job_bytes(MIB)) == (machine_bytes(), machine_bytes(), MIB)


def test_the_guard_notices_what_a_process_takes_after_its_start() -> None:
    code = (
        "import sys; sys.stdin.readline(); a = bytearray(64 * 2**20); print('taken', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        low, high = MemoryGuard(process.pid, 32 * MIB), MemoryGuard(process.pid, 128 * MIB)
        assert not low.check()
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"taken\n"
        assert (low.check(), high.check(), MemoryGuard(process.pid, None).check()) == (True, False, False)
        process.stdin.write(b"\n")
    assert private_bytes(process.pid) is None
    assert low.check(), "what was exceeded stays so"
