import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import click
import pytest

from fitqueue import cli
from fitqueue.cli import commands
from fitqueue.cli.failures import NO_SERVICE, REFUSED


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the entry points that are installed."""

    def install(**points: str) -> None:
        installed = EntryPoints(EntryPoint(name, value, "fitqueue.commands") for name, value in points.items())
        monkeypatch.setattr("importlib.metadata.entry_points", lambda **wanted: installed.select(**wanted))

    return install


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"]])
def test_help_loads_neither_http_nor_models_nor_the_service(arguments: list[str]) -> None:
    program = (
        "import sys; from fitqueue.cli import main\n"
        f"try: main({arguments})\n"
        "finally: print(sorted({'httpx', 'rich', 'pydantic', 'service', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("name", "short_help"),
    [(name, text) for section in commands.SECTIONS.values() for name, text in section.items()],
)
def test_the_table_says_of_each_command_that_it_exists(name: str, short_help: str) -> None:
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command is not None
    assert command.name == name
    assert command.help
    assert short_help.endswith(".")


def test_every_option_of_every_command_is_explained_by_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in commands._MODULES:
        assert cli.main([name, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"Usage: fitqueue {name} ")


def test_a_plugin_of_somebody_else_is_listed_and_run(plugins: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plugins(extra="fitqueue.cli.datasets:workers")
    assert cli.main(["--help"]) == 0
    assert "  extra  From ?." in capsys.readouterr().out
    assert cli.main(["extra", "--help"]) == 0


def test_a_plugin_whose_requirements_are_missing(plugins: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plugins(up="not_installed_here.commands:up")
    assert cli.main(["up"]) == REFUSED
    said = capsys.readouterr().err
    assert "`fitqueue up` cannot be loaded: No module named 'not_installed_here'" in said
    assert "pip install 'fitqueue[" in said


def test_a_plugin_cannot_take_the_place_of_a_command(plugins: Any) -> None:
    plugins(jobs="not_installed_here:jobs")
    assert cli.main(["jobs", "--help"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sumbit"], "There is no command 'sumbit'. Did you mean 'submit'?"),
        (["xyzzy"], "There is no command 'xyzzy'."),
        (["submit"], "Missing argument 'JOB.json'"),
        (["submit", "/nowhere/job.json"], "No such file"),
        (["jobs", "--state", "tired"], "'tired' is not one of"),
        (["--nonsense"], "No such option"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == REFUSED
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["jobs"], ["watch", "job_1"], ["logs", "job_1", "-f"]])
@pytest.mark.parametrize("url", [None, "http://127.0.0.1:9", "nonsense"])
def test_no_service(
    arguments: list[str],
    url: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("FITQUEUE_URL", raising=False)
    if url:
        monkeypatch.setenv("FITQUEUE_URL", url)
    assert cli.main(arguments) == NO_SERVICE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error: ")


def test_an_interrupted_command(plugins: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fitqueue.cli.datasets.Client", interrupted)
    assert cli.main(["workers"]) == cli.INTERRUPTED


def test_what_nobody_expected_keeps_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("fitqueue.cli.datasets.Client", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["workers"])
