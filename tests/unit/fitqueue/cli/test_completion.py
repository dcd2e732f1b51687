"""Completion in a shell: the scripts, and what needs no service."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from fitqueue import cli
from fitqueue.cli.completion import add_completions

PROGRAM = "import sys; from fitqueue.cli import main; sys.exit(main())"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(shell: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_FITQUEUE_COMPLETE={shell}_complete" in script
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    assert cli.main(["completion"]) == 0
    assert capsys.readouterr().out == script
    monkeypatch.setenv("SHELL", "/usr/bin/nushell")
    assert cli.main(["completion"]) == 3


def test_commands_are_completed_without_loading_any() -> None:
    words = {"COMP_WORDS": "fitqueue c", "COMP_CWORD": "1", "_FITQUEUE_COMPLETE": "bash_complete"}
    program = (
        f"import atexit, sys; atexit.register(lambda: print(sorted({{'httpx', 'rich'}} & set(sys.modules))))\n{PROGRAM}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **words}, capture_output=True, text=True, check=True
    )
    *commands, modules = done.stdout.splitlines()
    assert {"plain,compare", "plain,cancel", "plain,completion"} <= {*commands}
    assert modules == "[]"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_by_the_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "fitqueue"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{PROGRAM}"\n')
    program.chmod(0o755)
    assert cli.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    lines = f"""{script}
    COMP_WORDS=(fitqueue jobs --state ca); COMP_CWORD=3
    _fitqueue_completion {program}
    echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, check=True)
    assert done.stdout == "cancelled\n", done.stderr


def test_a_file_is_completed_by_the_shell() -> None:
    submit = cli.cli.get_command(click.Context(cli.cli), "submit")
    assert submit is not None
    [file] = [parameter for parameter in submit.params if parameter.name == "job"]
    of_files = file.type
    add_completions(submit)
    assert file.type is of_files
