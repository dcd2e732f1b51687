"""Each screen in terminals of 60, 80 and 100 columns: no word is broken, no figure is cut, no line is too long.

One service holds jobs with names, figures and states of all kinds. A command without a screen here fails a test.
"""

import io
import itertools
import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import pytest
from rich.cells import cell_len
from sqlalchemy import select, update

from fitqueue import cli
from fitqueue.cli import commands
from fitqueue.client import Client
from fitqueue.retention import KeptCheckpoints, Removable, Retention
from fitqueue.states import Phase, Reason
from fitqueue.text import strip_ansi
from fitqueue.views import LayerView, MemoryEstimate, ModelSummary
from service import clock
from service.backup.making import make_backup
from service.backup.place import BackupPlace
from service.backup.progress import Progress
from service.models import ADMIN_ID, LAB_ID, Job, TurnUsage, Worker
from service.storage_marking import mark_storage
from service.store import retention, tokens, webhook_leases, workers
from service.store.gpus import MeasuredGPU
from service.webhooks.outcome import Outcome, Verdict
from tests.small_job import small_job
from tests.storages import new_storage

WIDTHS: Final = (60, 80, 100)
ENDED, RUNNING, FAILED, QUEUED, PAUSED = "基线模型🚀", "digits-augmented-v2", "a" * 100, "waits", "paused"
PREEMPTED: Final = "idle-devices"
LAST: Final = "waits for its turn behind all of the others 等待"
USER, FORMER_USER, PROJECT = "ada", "grace.hopper@example.org", "retina"
UNBROKEN: Final = {FAILED, "x_" + "y" * 70}
"""Words that are longer than half of a line: these alone are broken."""
FIGURES: Final = {
    "sparse_categorical_accuracy": 0.98765, "val_sparse_categorical_accuracy": 0.91234,
    "huge": 9.87654e20, "tiny": 1.23456e-12, "not_a_number": math.nan, "infinite": -math.inf,
}  # fmt: skip

SCREENS: Final[Mapping[str, Sequence[str]]] = {
    "submit": ["submit", "job.json", "--dry-run"],
    "submit a job with faults": ["submit", "faults.json"],
    "submit a script": ["submit", "train.py"],
    "watch": ["watch", ENDED],
    "jobs": ["jobs"],
    "jobs: the first ones": ["jobs", "--limit", "2"],
    "jobs: none": ["jobs", "--submitted-by", "nobody"],
    "jobs of a project": ["jobs", "--project", PROJECT],
    "queue": ["queue"],
    "queue: empty": ["queue", "--pool", "none"],
    **{f"show {name}": ["show", name] for name in (ENDED, RUNNING, FAILED, PREEMPTED, QUEUED, PAUSED)},
    "show: no job": ["show", "nobody"],
    "show: curves": ["show", ENDED, "--curve"],
    "show: model": ["show", ENDED, "--model"],
    "compare": ["compare", ENDED, RUNNING, FAILED],
    "usage": ["usage"],
    "usage of a job": ["usage", ENDED],
    "usage: none": ["usage", QUEUED],
    "cancel": ["cancel", "cancelled"],
    "pause": ["pause", PAUSED, ENDED],
    "resume": ["resume", ENDED],
    "extend": ["extend", QUEUED, "--epochs", "3"],
    "move": ["move", ENDED, "--first"],
    "change": ["change", ENDED, "--name", "another"],
    "change: preemptible": ["change", PREEMPTED, "--preemptible"],
    "delete": ["delete", RUNNING],
    "weights": ["weights", ENDED, "-o", "best.weights.h5"],
    "metrics": ["metrics", ENDED],
    "metrics: none": ["metrics", QUEUED],
    "checkpoints": ["checkpoints", ENDED],
    "checkpoints: none": ["checkpoints", QUEUED],
    "artifacts": ["artifacts", ENDED],
    "artifacts: none": ["artifacts", QUEUED],
    "logs": ["logs", QUEUED],
    "events": ["events", ENDED],
    "dataset add": ["dataset", "add", "letters.npz", "--name", "handwritten-letters"],
    "dataset add: a table": ["dataset", "add", "table.csv"],
    "dataset list": ["dataset", "list", "--all"],
    "dataset show": ["dataset", "show", "handwritten-letters"],
    "dataset remove": ["dataset", "remove", "nothing"],
    "webhook add": ["webhook", "add", "mailto:ada@example.org"],
    "webhook add: another host": ["webhook", "add", "http://127.0.0.1/"],
    "webhook list": ["webhook", "list"],
    "webhook remove": ["webhook", "remove", "wh_none"],
    "webhook deliveries": ["webhook", "deliveries", "WEBHOOK"],
    "webhook resend": ["webhook", "resend", "WEBHOOK", "msg_none"],
    "webhook test": ["webhook", "test", "wh_none"],
    "catalogue": ["catalogue"],
    "catalogue of a class": ["catalogue", "LSTM"],
    "login": ["login", "URL"],
    "logout": ["logout"],
    "workers": ["workers", "--all"],
    "drain": ["drain", "nobody"],
    "audit": ["audit"],
    "audit: none": ["audit", "--user", "nobody"],
    "init": ["init"],
    "me": ["me"],
    "user add": ["user", "add", "admin"],
    "user add: a name that cannot be used": ["user", "add", "Ada Lovelace"],
    "user list": ["user", "list"],
    "user change": ["user", "change", USER, "--share", "2.5", "--limit", "running_jobs=4"],
    "user change: no such limit": ["user", "change", USER, "--limit", "running_job=4"],
    "user disable": ["user", "disable", FORMER_USER],
    "user disable: the last admin": ["user", "disable", "admin"],
    "user enable": ["user", "enable", USER],
    "project add": ["project", "add", PROJECT],
    "project list": ["project", "list"],
    "project change": ["project", "change", PROJECT, "--closed", "--retention", "logs_days=90"],
    "project add-member": ["project", "add-member", PROJECT, USER, "nobody"],
    "project remove-member": ["project", "remove-member", PROJECT, FORMER_USER],
    "token list": ["token", "list"],
    "token list of a user": ["token", "list", "--user", USER],
    "token revoke": ["token", "revoke", "tok_none"],
    "migrate": ["migrate"],
    "restore: a database that is not empty": ["restore", "backups"],
    "restore: the list": ["restore", "backups", "--list"],
    "restore: no such backup": ["restore", "backups", "--backup", "20260101T000000.000Z"],
    "prune": ["prune", "--dry-run"],
    "no such command": ["status"],
    "no such argument": ["show"],
}  # fmt: skip

NO_SCREEN: Final[Mapping[str, str]] = {
    "backup": "names each backup for its time; its lines are wrapped as those of `migrate` are",
    "completion": "prints a program",
    "doctor": "looks at this machine for half a minute; its lines are wrapped as those of `migrate` are",
    "open": "prints an address, which cannot be wrapped",
    "token create": "prints a token, which cannot be wrapped",
    "up": "runs until it is stopped; its lines are wrapped as those of `migrate` are",
}

Show = Callable[..., tuple[str, str]]
"""Runs a command in a terminal of some width, or in a pipe; returns what it shows on stdout and stderr."""


class Screen(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def _groups_and_commands() -> Iterator[tuple[str, click.Command]]:
    for name in itertools.chain.from_iterable(commands.SECTIONS.values()):
        command = cli.cli.get_command(click.Context(cli.cli), name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {subname}", subcommand) for subname, subcommand in command.commands.items())


ALL: Final = dict(_groups_and_commands())


@pytest.fixture(scope="module")
def folder(shared_service: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the commands, after the service has got all that is shown."""
    folder = tmp_path_factory.mktemp("files")
    with Client(shared_service.url, shared_service.token) as client:
        _submit_jobs(shared_service, client)
        np.savez(folder / "letters.npz", **{"x": np.zeros((5, 28, 28), "uint8"), "x_" + "y" * 70: np.arange(5)})
        client.upload(folder / "letters.npz", "handwritten-letters")
        client.upload(folder / "letters.npz")
        _share(shared_service, client)
    _register_workers(shared_service)
    mark_storage(shared_service.database, shared_service.storage)
    place = BackupPlace(new_storage(folder / "backups"), "backups")
    make_backup(shared_service.database, shared_service.storage, place, Progress("Copying"))
    _create_webhooks(shared_service)
    _let_a_job_be_old(shared_service)
    (folder / "job.json").write_text(json.dumps(small_job(3)))
    (folder / "faults.json").write_text(json.dumps({**small_job(3), "fit": {"epoch": 3, "batch_size": "many"}, "x": 1}))
    (folder / "train.py").write_text("import keras\n")
    (folder / "table.csv").write_text("a,b\n1,2\n")
    (folder / "docker-compose.yml").touch()
    (folder / ".env").touch()
    return folder


def _submit_jobs(service: Any, client: Client) -> None:
    with service.database.write() as session:
        session.add(TurnUsage(account_id=ADMIN_ID, used=3600.0, used_at=time.time()))
    labels = {"purpose": "comparison of augmentations", "team": "视觉"}
    for name in (ENDED, RUNNING, FAILED, PREEMPTED, PAUSED, "cancelled", QUEUED, LAST):
        is_preemptible = name == PREEMPTED
        job_id = client.submit({**small_job(12), "name": name, "labels": labels, "preemptible": is_preemptible}).id
        if name == ENDED:
            _train(service.claim())
        elif name == RUNNING:
            running = service.claim()
            running.phase(Phase.TRAINING)
            running.epoch(1, 1234567.0, seconds=4000)  # so long that the time left reads the same a little later
            running.checkpoint(["best", "last"], 1, b"weights", 1.0)
            running.progress(2, 4, loss=0.4)
        elif name == FAILED:
            service.claim().finish(Reason.OUT_OF_MEMORY, "The device did not have enough memory.")
        elif name == PREEMPTED:
            service.claim().make_room()
        elif name == PAUSED:
            client.pause(job_id)
        elif name == "cancelled":
            client.cancel(job_id)


def _share(service: Any, client: Client) -> None:
    """Add users, and a project in which one of them has a job."""
    client.create_user(FORMER_USER, role="viewer")
    client.create_user(USER)
    client.create_project(PROJECT, open=False)
    client.add_member(PROJECT, USER)
    token = client.create_token("laptop", user=USER, scope="submit", expires_in_days=90).token
    with Client(service.url, token) as user:
        user.submit({**small_job(3), "name": "scans", "project": PROJECT})


def _train(worker: Any) -> None:
    for epoch in range(1, 8):
        worker.epoch(epoch, 1.23456 / epoch, **FIGURES)
    worker.checkpoint(["best", "last", "epoch-07-of-12.weights.h5", "检查点.weights.h5"], 7, b"weights" * 1000, 1.23456)
    worker.artifact("history of the training.csv", b"a,b" * 500)
    worker.log("Epoch 1/12", "手写数字 " * 30)
    worker.finish(Reason.EARLY_STOPPED, "EarlyStopping ended the training: val_loss has not improved for 3 epochs.")
    layer = LayerView(
        name="conv2d_of_the_second_block", class_name="Conv2DTranspose", output_shapes=[[None, 1024, 1024, 512]],
        dtype="float32", parameters=123_456_789, trainable=True, inputs=["input_layer", "batch_normalization_1"],
    )  # fmt: skip
    memory = MemoryEstimate(weights=4840, gradients=10**9, optimizer=9600, activations=7 * 10**12, total=8 * 10**12)
    model = ModelSummary(layers=[layer], parameters=123_456_789, trainable_parameters=1200, memory=memory)
    with worker.database.write() as session:
        session.get_one(Job, worker.lease.job_id).model_summary = model.model_dump(mode="json")


def _let_a_job_be_old(service: Any) -> None:
    """Let the ended job be as old as what its project does not keep, and tell of something that was removed."""
    months = timedelta(days=100)
    with service.database.write() as session:
        job = session.scalars(select(Job).where(Job.name == ENDED)).one()
        job.created_at, job.started_at, job.finished_at = (
            time - months for time in (job.created_at, job.started_at, job.finished_at)
        )
        why = {"at": job.created_at.isoformat(), "days": 30, "project": "lab"}
        job.removed = {"snapshots": {**why, "message": retention.sentence(Removable.SNAPSHOTS, 30, "lab")}}
        policy = Retention(logs_days=90, events_days=90, keep_checkpoints=KeptCheckpoints.BEST_AND_LAST)
        retention.set(session, LAB_ID, policy)


def _register_workers(service: Any) -> None:
    use = [MeasuredGPU("GPU-a", "NVIDIA H100 80GB HBM3", 97, 40 * 2**30, 80 * 2**30)]
    with service.database.write() as session:
        for number, host in enumerate(("gpu-box-with-a-long-name.example.org", "工作站")):
            workers.register(
                session, f"wk_{number}{'0' * 23}", host=host, pools=["default", "vision"], slots=4,
                devices=["NVIDIA H100 80GB HBM3"], gpus=["GPU-a"], gpu_use=use,
            )  # fmt: skip
        tokens.create(session, "a token of the laboratory in the second building")


def _let_workers_be_alive(service: Any) -> None:
    with service.database.write() as session:
        session.execute(update(Worker).values(last_seen_at=clock.now(session)))


def _create_webhooks(service: Any) -> None:
    long_url = "https://ci.laboratory.example.org/hooks/of-the-laboratory/fitqueue?key=secret"
    with Client(service.url, service.token) as client:
        webhook = client.add_webhook(long_url, project="lab", events=["job.failed", "diagnosis.changed"])
        for kind in ("webhook", "slack"):
            client.add_webhook("https://hooks.slack.com/services/T0/B0/x", project="lab", kind=kind)
        client.test_webhook(webhook.id)
    with service.database.write() as session:
        [leased] = webhook_leases.lease_due(session, 1)
        outcome = Outcome(Verdict.RETRY, "308 Permanent Redirect; redirects are not followed")
        webhook_leases.record(session, leased, outcome)


@pytest.fixture
def show(shared_service: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Show:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FITQUEUE_URL", shared_service.url)
    monkeypatch.setenv("FITQUEUE_TOKEN", shared_service.token)
    monkeypatch.setenv("FITQUEUE_DATABASE_URL", f"sqlite:///{shared_service.folder}/fitqueue.db")
    monkeypatch.setenv("FITQUEUE_STORAGE", str(shared_service.folder / "storage"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm-256color")

    with Client(shared_service.url, shared_service.token) as client:
        values = {"URL": shared_service.url, "WEBHOOK": list(client.webhooks())[-1].id}

    def command(width: int | None, *arguments: str) -> tuple[str, str]:
        _let_workers_be_alive(shared_service)
        shown, remarks = Screen(width is not None), Screen(width is not None)
        with monkeypatch.context() as patch:
            patch.setenv("COLUMNS", str(width or 40))
            patch.setattr(sys, "stdin", io.StringIO(f"{shared_service.token}\n"))
            patch.setattr(sys, "stdout", shown)
            patch.setattr(sys, "stderr", remarks)
            cli.main([values.get(word, word) for word in arguments])
        return strip_ansi(shown.getvalue()), strip_ansi(remarks.getvalue())

    return command


def test_each_command_has_a_screen() -> None:
    shown = {" ".join(words[:length]) for words in SCREENS.values() for length in (1, 2)}
    missing = [name for name, command in ALL.items() if not isinstance(command, click.Group) and name not in shown]
    assert sorted(missing) == sorted(NO_SCREEN)


@pytest.mark.parametrize("name", SCREENS)
def test_words_are_whole_and_figures_are_not_cut(name: str, show: Show) -> None:
    wide, wide_remarks = show(None, *SCREENS[name])
    known = {*wide.split(), *wide_remarks.split()}
    for width in WIDTHS:
        shown, remarks = show(width, *SCREENS[name])
        _check(shown, width, known)
        _check(_without_left_out(remarks), width, known)
        if name != "catalogue":  # a pipe gets it as a table
            assert {*wide.split()[:1]} <= {*shown.split()}, "the first column stays"


def _check(text: str, width: int, known: set[str]) -> None:
    lines = list(_lines(text))
    words = [word for line in lines for word in line.split()]
    # Curves have the width of the terminal.
    assert [word for word in words if "│" not in word and set(word) - set("AB•o") and not _is_whole(word, known)] == []
    # What cannot be wrapped is copied: a checksum, a path, an address, a command.
    too_long = [line for line in lines if cell_len(line) > width and not line.startswith("    ")]
    assert [line for line in too_long if max(map(cell_len, line.split())) < width - 20] == []


def _is_whole(word: str, known: set[str]) -> bool:
    if word in known or any(word.strip('"') in other for other in UNBROKEN):
        return True
    if re.fullmatch(r"\d\d:\d\d:\d\d", word):  # the forecast of an end goes on with the clock
        return True
    return word.startswith("job_") and any(other.startswith(word) for other in known)


def _lines(text: str) -> Iterator[str]:
    """Yield the lines without ages, which go on. What `watch` shows below them, and removes, is another test's."""
    for line in re.split(r"[\r\n]+", re.sub(r"(?<![.\d])\d+ s$", "", text, flags=re.MULTILINE)):
        if line.strip() and not re.search("[⠀-⣿━]", line):
            yield line.rstrip()


def _without_left_out(remarks: str) -> str:
    return re.sub(r"A wider terminal also shows [^.]*\.", "", remarks)


@pytest.mark.parametrize("name", ["", *ALL])
def test_help_is_not_broken(name: str, show: Show) -> None:
    words = show(100, *name.split(), "--help")[0].split()
    known = {"\\", *words, *(part for word in words for part in re.split("(?<=-)", word))}
    for width in WIDTHS:
        help = show(width, *name.split(), "--help")[0]
        assert [line for line in help.splitlines() if cell_len(line) > width] == []
        assert {*help.split()} <= known


def test_columns_go_before_figures_do(show: Show) -> None:
    shown, remarks = show(60, "metrics", ENDED)
    heading, row = (line.split() for line in shown.splitlines()[:2])
    assert heading[0] == "EPOCH"
    assert {"loss", "val_loss"} <= {*heading}
    assert {"1", "1.235", "2.469"} <= {*row}
    assert "A wider terminal also shows " in " ".join(remarks.split())
    wide = show(None, "metrics", ENDED)[0].split()
    assert {"9.877e+20", "1.235e-12", "nan"} <= {*wide}


def test_the_best_value_is_shown_in_60_columns(show: Show) -> None:
    assert {"BEST", "1.235"} <= {*show(60, "jobs", "--name", ENDED)[0].split()}


@pytest.mark.parametrize("command", ["jobs --state queued --state running", "queue"])
def test_owners_and_projects_are_shown_in_100_columns_if_there_are_several(command: str, show: Show) -> None:
    heading, *rows = show(100, *command.split())[0].splitlines()
    assert {"OWNER", "PROJECT"} <= {*heading.split()}
    assert any({USER, PROJECT} <= {*row.split()} for row in rows)
    if command != "queue":
        assert not {"OWNER", "PROJECT"} & {*show(None, *command.split(), "--owner", USER)[0].splitlines()[0].split()}


@pytest.mark.parametrize("width", WIDTHS)
def test_the_queue_says_who_made_room_and_why_others_go_first(width: int, show: Show) -> None:
    words = {*show(width, "queue")[0].split()}
    for text in (
        "idle devices again: it made room for another job, and goes on by itself",
        "1 job of others goes first: admin used 100 % of the last days",
    ):
        assert {*text.split()} <= words
    assert ("preemptible" in words) is (width >= 100)


def test_piped_output_has_no_width_of_its_own(show: Show) -> None:
    assert f" {FAILED} " in show(None, "jobs")[0]
    [labels] = [line for line in show(None, "show", ENDED)[0].splitlines() if line.startswith("Labels")]
    assert labels.endswith("team=视觉")
