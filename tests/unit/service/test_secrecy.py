"""Other processes of the same user learn no secrets: neither from the environment nor from the memory of a process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
NOBODY: Final = 65534

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows processes in /proc")

HOLDER: Final = """
import ctypes, os, sys
from service.secrecy import hide_secrets
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as a program that was started by this user; setuid has cleared it
if "hide" in sys.argv:
    hide_secrets()
if "fork" in sys.argv and os.fork():
    os.wait()
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
print(os.getpid(), os.environ["FITQUEUE_DATABASE_URL"], libc.getenv(b"FITQUEUE_DATABASE_URL").decode(), flush=True)
sys.stdin.read()
"""
READER: Final = """
import os, sys
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    content = open(f"/proc/{sys.argv[1]}/{sys.argv[2]}", "rb").read(100_000)
except PermissionError:
    print("refused")
except OSError:
    print("read")  # the first page of the memory, which is not mapped
else:
    print("secret" if b"password" in content else "read")
"""


@contextmanager
def holder(*options: str) -> Iterator[int]:
    """Yield the id of a process with a secret in its environment, which it and its libraries can still read."""
    variables = os.environ | {"FITQUEUE_DATABASE_URL": "postgresql://password", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLDER, *options]
    with subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid, of_python, of_libraries = process.stdout.readline().split()
        assert of_python == of_libraries == "postgresql://password"
        yield int(pid)
        assert process.stdin is not None
        process.stdin.close()


def read_as_another(pid: int, file: str) -> str:
    """Return what another process of the same user finds in a file of /proc."""
    command = [sys.executable, "-c", READER, str(pid), file]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_without_it_another_process_reads_the_environment() -> None:
    with holder() as pid:
        assert read_as_another(pid, "environ") == "secret"


@pytest.mark.parametrize("options", [("hide",), ("hide", "fork")])
def test_another_process_of_the_same_user_may_read_neither_environment_nor_memory(options: tuple[str, ...]) -> None:
    with holder(*options) as pid:
        assert read_as_another(pid, "environ") == "refused"
        assert read_as_another(pid, "mem") == "refused"


@pytest.mark.parametrize("options", [("hide",), ("hide", "fork")])
def test_even_root_finds_only_what_children_may_see(options: tuple[str, ...]) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may look")
    with holder(*options) as pid:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert not [variable for variable in environment if variable.startswith(b"FITQUEUE")]
    assert f"PATH={os.environ['PATH']}".encode() in environment
