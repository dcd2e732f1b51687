"""A file that a command refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fitqueue.cli import main
from fitqueue.cli.failures import REFUSED

RefuseFile = Callable[[list[str], bytes], str]


@pytest.fixture
def refuse_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RefuseFile:
    """Return a function that gives a command a file, whose name comes last, and returns what it says."""

    def refuse(command: list[str], content: bytes) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("FITQUEUE_URL", "http://127.0.0.1:9")
        Path(command[-1]).write_bytes(content)
        assert main(command) == REFUSED
        return capsys.readouterr().err

    return refuse
