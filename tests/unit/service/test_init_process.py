"""The first process of a container passes signals on, reaps orphans, and exits as the program does."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.waiting import until

ROOT: Final = Path(__file__).parents[3]

# It believes that it is the first process, and adopts orphans as that one does (PR_SET_CHILD_SUBREAPER).
FIRST_PROCESS: Final = """
import ctypes, os, signal, sys, time
from service import init_process
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
init_process._FIRST = os.getpid()
init_process.continue_below_init()
assert os.getpid() != init_process._FIRST
"""


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="containers are Linux")


def start(program: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FIRST_PROCESS + program]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def read_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("code", [0, 3])
def test_it_exits_with_the_code_of_the_program(code: int) -> None:
    with start(f"os._exit({code})") as process:
        assert process.wait(60) == code


def test_it_exits_as_shells_do_when_a_signal_ends_the_program() -> None:
    with start("print(os.getpid(), flush=True); time.sleep(600)") as process:
        os.kill(int(read_line(process)), signal.SIGKILL)
        assert process.wait(60) == 128 + signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_it_passes_signals_on(number: signal.Signals) -> None:
    program = f"""
signal.pthread_sigmask(signal.SIG_BLOCK, [{number:d}])
print("ready", flush=True)
signal.sigwait([{number:d}])
os._exit(7)
"""
    with start(program) as process:
        assert read_line(process) == "ready"
        process.send_signal(number)
        assert process.wait(60) == 7


def test_it_reaps_orphans() -> None:
    program = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
reader, writer = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.read(reader, 1)
        os._exit(0)
    os._exit(0)
os.wait()
print("ready", flush=True)
signal.sigwait([signal.SIGTERM])
os.write(writer, b"x")
time.sleep(600)
"""
    with start(program) as process:
        assert read_line(process) == "ready"
        init = psutil.Process(process.pid)
        until(lambda: len(init.children()) == 2, 60, "the orphan has a new parent")
        process.send_signal(signal.SIGTERM)
        until(lambda: len(init.children()) == 1, 60, "the orphan has ended and was reaped")
        [program_process] = init.children()
        program_process.kill()
        assert process.wait(60) == 128 + signal.SIGKILL


def test_any_other_process_goes_on_as_it_is() -> None:
    script = "import os; from service.init_process import continue_below_init as f; before = os.getpid(); f(); "
    script += "assert os.getpid() == before"
    subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
