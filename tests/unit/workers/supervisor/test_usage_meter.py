"""What a process has used, as the kernel and the process itself say."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store.usage import MeasuredUse
from tests.waiting import until
from workers.shared.protocol import ResourcesUsed
from workers.supervisor import usage_meter
from workers.supervisor.usage_meter import ProcessTimes, UsageMeter, peak_memory_bytes, process_times

SECONDS = 60.0
HELD_BYTES = 50_000_000
GROWS = f"input(); held = bytearray({HELD_BYTES}); del held; print(flush=True); input()"


def no_gpus(_: object) -> None:
    return None


@pytest.fixture
def process() -> Iterator["subprocess.Popen[str]"]:
    """A process that takes memory when it reads a line, gives it back, and waits for another line."""
    with subprocess.Popen(
        [sys.executable, "-c", GROWS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def sample(meter: UsageMeter) -> MeasuredUse:
    meter.sample()
    return meter.used


def send_line(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_the_peak_stays_when_memory_is_given_back(process: "subprocess.Popen[str]") -> None:
    meter = UsageMeter(process.pid, (), no_gpus)
    before = sample(meter).peak_memory_bytes
    send_line(process)
    assert process.stdout is not None
    process.stdout.readline()
    assert sample(meter).peak_memory_bytes >= before + HELD_BYTES * 0.9
    used = meter.used
    send_line(process)
    process.wait()
    assert sample(meter) == used, "it has ended"
    assert (process_times(process.pid), peak_memory_bytes(process.pid)) == (None, None)


def test_processor_time_counts_from_the_start_of_the_meter() -> None:
    until(lambda: time.process_time() > 0.05, SECONDS, "some processor time")
    meter = UsageMeter(os.getpid(), (), no_gpus)
    before = time.process_time()
    assert sample(meter).cpu_seconds < 0.05 + time.process_time() - before
    until(lambda: sample(meter).cpu_seconds > 0.05, SECONDS, "some more")
    assert meter.used.cpu_seconds <= time.process_time() - before + 0.05


def test_another_process_with_the_same_number_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = UsageMeter(os.getpid(), (), no_gpus)
    monkeypatch.setattr(usage_meter, "process_times", lambda _: ProcessTimes(started_at=1, cpu_seconds=1e9))
    assert sample(meter) == MeasuredUse()


def test_a_name_may_have_brackets_and_spaces(tmp_path: Path) -> None:
    program = tmp_path / "a) b (c"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as process:
        until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "a) b (c\n", SECONDS, "the program")
        assert process_times(process.pid) is not None
        process.kill()


def test_the_last_report_of_a_process_and_its_gpus_count() -> None:
    readings = iter([700, None, 500, 600])
    meter = UsageMeter(os.getpid(), ("GPU-a", "GPU-b"), lambda uuids: next(readings) if len(uuids) == 2 else 1)
    sampled = [sample(meter).peak_gpu_memory_bytes for _ in range(2)]
    assert sampled == [700, 700], "the driver did not answer the second time"
    meter.note_report(ResourcesUsed(cpu_seconds=1e6, peak_memory_bytes=2**50))
    assert meter.used.peak_memory_bytes == 2**50
    assert meter.used.cpu_seconds == pytest.approx(1e6, abs=1e4)
    assert meter.used.peak_gpu_memory_bytes == 700
    used = meter.used
    assert sample(meter) == used, "a later sample does not reduce it"


def test_a_sample_is_due_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    meter = UsageMeter(os.getpid(), (), no_gpus)
    meter.sample_if_due()
    assert meter.used == MeasuredUse()
    now[0] = usage_meter.SAMPLE_SECONDS
    meter.sample_if_due()
    assert meter.used.peak_memory_bytes > 0
