"""The command line as a whole: its help, plugins, exit codes and unexpected errors."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import click
import pytest

from fitqueue import cli
from fitqueue.cli import commands
from fitqueue.cli.examples import EXAMPLES
from fitqueue.cli.failures import NO_SERVICE, REFUSED
from fitqueue.cli.jobs import EXIT_CODES


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replaces the installed entry points."""

    def install(**points: str) -> None:
        installed = EntryPoints(EntryPoint(name, value, "fitqueue.commands") for name, value in points.items())
        monkeypatch.setattr("importlib.metadata.entry_points", lambda **query: installed.select(**query))

    return install


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"]])
def test_help_imports_no_heavy_module(arguments: list[str]) -> None:
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
def test_each_command_of_the_table_exists(name: str, short_help: str) -> None:
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command is not None
    assert command.name == name
    assert command.help
    assert short_help.endswith(".")


def _our_commands() -> Iterator[tuple[str, click.Command]]:
    for name in commands._MODULES:
        command = cli.cli.get_command(click.Context(cli.cli), name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {subname}", subcommand) for subname, subcommand in command.commands.items())


OUR_COMMANDS = dict(_our_commands())
"""The commands and subcommands of this package by their full names."""


@pytest.mark.parametrize(("name", "command"), OUR_COMMANDS.items(), ids=OUR_COMMANDS)
def test_help_explains_a_command_and_all_its_options(
    name: str, command: click.Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*name.split(), "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: fitqueue {name} ")
    unexplained = [option.name for option in command.params if isinstance(option, click.Option) and not option.help]
    assert not unexplained


@pytest.mark.parametrize("name", EXAMPLES)
def test_help_ends_with_examples_of_the_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*name.split(), "--help"]) == 0
    lines = capsys.readouterr().out.partition("\n  Examples:\n")[2].splitlines()
    assert [line.strip() for line in lines] == list(EXAMPLES[name])
    for line in lines:
        command, words = cli.cli, line.partition("#")[0].partition("fitqueue ")[2].split()
        assert " ".join(words).startswith(name) or f"fitqueue {name} " in line or f"| fitqueue {name}" in line
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, line
            command = found
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-") and word not in {"-", "-r"}} - {"--set"} <= known, line


def test_each_command_has_examples() -> None:
    assert EXAMPLES.keys() >= {*OUR_COMMANDS, *(name for section in commands.SECTIONS.values() for name in section)}


@pytest.mark.parametrize("name", ["", *OUR_COMMANDS])
def test_help_fits_into_80_columns(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main([*name.split(), "--help"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) >= 80] == []


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    exit_codes = capsys.readouterr().out.partition("Exit codes:\n")[2].partition("\n\n")[0]
    codes = [*EXIT_CODES.values(), REFUSED, NO_SERVICE, cli.INTERRUPTED]
    assert [line.split()[0] for line in exit_codes.splitlines()] == list(map(str, codes))


def test_a_plugin_is_listed_and_runs(plugins: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plugins(extra="fitqueue.cli.workers:workers")
    assert cli.main(["--help"]) == 0
    assert "  extra  From ?." in capsys.readouterr().out
    assert cli.main(["extra", "--help"]) == 0


def test_a_plugin_that_cannot_be_imported(plugins: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plugins(up="not_installed_here.commands:up")
    assert cli.main(["up"]) == REFUSED
    err = capsys.readouterr().err
    assert "`fitqueue up` cannot be loaded: No module named 'not_installed_here'" in err
    assert "pip install 'fitqueue[" in err


def test_a_plugin_cannot_replace_a_command(plugins: Any) -> None:
    plugins(jobs="not_installed_here:jobs")
    assert cli.main(["jobs", "--help"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sumbit"], "There is no command 'sumbit'. Did you mean 'submit'?"),
        (["xyzzy"], "There is no command 'xyzzy'."),
        (["submit"], "Missing argument 'JOB.json'"),
        (["submit", "/nowhere/job.json"], "No such file"),
        (["jobs", "--state", "tired"], "'tired' is not one of"),
        (["--nonsense"], "No such option"),
    ],
)
def test_an_invalid_command_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == REFUSED
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["jobs"], ["watch", "job_1"], ["logs", "job_1", "-f"]])
@pytest.mark.parametrize("url", [None, "http://127.0.0.1:9", "nonsense"])
def test_commands_without_a_service(
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
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: ")


def test_an_interrupted_command_exits_with_130(plugins: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fitqueue.cli.workers.Client", interrupted)
    assert cli.main(["workers"]) == cli.INTERRUPTED == 130


def test_an_unexpected_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("fitqueue.cli.workers.Client", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["workers"])
