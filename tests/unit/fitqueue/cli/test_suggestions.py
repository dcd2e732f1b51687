"""What to type instead of a command that does not exist."""

import re

import click
import pytest

from fitqueue.cli import cli, main
from fitqueue.cli.failures import REFUSED
from fitqueue.cli.suggestions import OTHER_NAMES


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["list"], "There is no command 'list'. `fitqueue jobs` lists jobs."),
        (["LIST"], "There is no command 'LIST'. `fitqueue jobs` lists jobs."),
        (["lsit"], "There is no command 'lsit'. `fitqueue jobs` lists jobs."),
        (["status", "job_1"], "There is no command 'status'. `fitqueue show JOB` shows one job, and `fitqueue jobs`"),
        (["auth"], "There is no command 'auth'. `fitqueue login URL` stores the address and the token of a service"),
        (["dif"], "There is no command 'dif'. `fitqueue compare JOB JOB` compares jobs."),
        (["sumbit"], "There is no command 'sumbit'. Did you mean 'submit'?"),
        (["watcj"], "There is no command 'watcj'. Did you mean 'watch'?"),
        (["model"], "There is no command 'model'. `fitqueue show JOB` shows a job with its model."),
        (["modal"], "There is no command 'modal'. `fitqueue show JOB` shows a job with its model."),
        (["module"], "There is no command 'module'.\n"),
        (["deploy"], "There is no command 'deploy'.\n"),
        (["metric"], "There is no command 'metric'. Did you mean 'metrics'?"),
        (["xyzzy"], "There is no command 'xyzzy'.\n"),
        (["\x1b[31mlist"], "There is no command '\\x1b[31mlist'."),
        (["dataset", "upload", "x.npz"], "There is no command 'upload'. `fitqueue dataset add FILE.npz` uploads"),
        (["dataset", "lisst"], "There is no command 'lisst'. Did you mean 'list'?"),
        (["dataset", "status"], "There is no command 'status'.\n"),
        (["token", "rm", "t1"], "There is no command 'rm'. `fitqueue token revoke ID` revokes a token."),
    ],
)
def test_an_unknown_command_is_answered_with_what_to_type(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == REFUSED
    assert f"Error: {error}" in capsys.readouterr().err


@pytest.mark.parametrize("group", OTHER_NAMES)
def test_what_to_type_exists_and_the_other_names_do_not(group: str) -> None:
    context = click.Context(cli)
    named = cli if group == "cli" else cli.get_command(context, group)
    assert isinstance(named, click.Group)
    assert not OTHER_NAMES[group].keys() & set(named.list_commands(context))
    lines = [line for advice in OTHER_NAMES[group].values() for line in re.findall(r"`fitqueue ([^`]+)`", advice)]
    assert len(lines) >= len(set(OTHER_NAMES[group].values()))
    for line in lines:
        command: click.Command = cli
        words = line.split()
        while isinstance(command, click.Group) and not words[0].startswith("-"):
            found = command.get_command(context, words.pop(0))
            assert found is not None, line
            command = found
        options = {option for parameter in command.get_params(click.Context(command)) for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, line
