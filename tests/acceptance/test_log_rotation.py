"""logrotate, with the configuration of the manual, rotates the logs of a stack that runs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from service.stack import Stack
from tests.unit.docs.pages import section, text_of
from tests.waiting import ANSWER_SECONDS, until

FOLDER = "/srv/fitqueue/var"


@pytest.fixture
def logrotate() -> str:
    """The path of the program."""
    path = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None and "CI" not in os.environ:
        pytest.skip("on Debian: apt-get install logrotate")
    assert path is not None
    return path


def _request(stack: Stack, request_id: str) -> None:
    headers = {"X-Request-Id": request_id, "Authorization": f"Bearer {stack.token}"}
    httpx.get(f"{stack.url}/api/v1/jobs", headers=headers, timeout=ANSWER_SECONDS)


def test_logs_are_rotated_while_the_stack_writes_to_them(stack: Stack, logrotate: str, tmp_path: Path) -> None:
    log = stack.folder / "logs" / "api.log"
    _request(stack, "before-the-rotation")
    until(lambda: "before-the-rotation" in log.read_text(), 60, "the line is written")
    [configuration] = re.findall(r"^```logrotate\n(.*?)^```$", section(text_of("operating.md"), "Logs"), re.M | re.S)
    assert FOLDER in configuration
    file = tmp_path / "fitqueue"
    file.write_text(configuration.replace(FOLDER, str(stack.folder)))
    file.chmod(0o600)
    subprocess.run([logrotate, "--force", "--state", tmp_path / "state", file], check=True, timeout=60)
    _request(stack, "after-the-rotation")
    until(lambda: "after-the-rotation" in log.read_text(), 60, "the line is written")
    assert "before-the-rotation" not in log.read_text()
    assert "\0" not in log.read_text(), "the program appends, and does not write where it was"
    old = log.with_name("api.log.1.gz")
    shown = subprocess.run(["gzip", "-dc", old], check=True, capture_output=True, text=True).stdout
    assert "before-the-rotation" in shown
