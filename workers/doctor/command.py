"""`fitqueue doctor`, joined to the command line by the entry points of `pyproject.toml`."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import click

from fitqueue.cli.output import make_console, print_json
from fitqueue.cli.text import printable
from service.commands import causes_told, read_settings
from service.db import Database
from service.settings import Settings
from service.storage import REQUEST_RETRY_TIMEOUT, Storage, open_storage
from workers.doctor import machine, services
from workers.doctor.checks import Check, Finding, examine
from workers.doctor.training import SmokeTest
from workers.supervisor.devices import GPU, NVML

UNFIT: Final = 1

_MARKS: Final = {"ok": "✓", "failed": "✗", "not_tried": "-"}
_SECRET_WORDS: Final = ("PASSWORD", "SECRET", "TOKEN", "CREDENTIAL")
_SHORTEST_SECRET: Final = 4
"""Of those that have only their name to tell: `1` is none, and stands in every number."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def doctor(as_json: bool) -> int:
    """Check whether this machine is fit to be a worker's, with the settings of its environment.

    Devices, shared memory, folders, database, clock, Redis; then a training process is forked and sums over all
    devices. Run it where a worker runs, as `docker compose exec worker fitqueue doctor`. Exits with 1 if a check fails.
    """
    settings = read_settings()
    findings = []
    for finding in _findings(settings):
        findings.append(finding)
        if not as_json:
            click.echo(_in_a_line(finding))
    fit = all(finding.state == "ok" for finding in findings)
    if as_json:
        print_json({"fit": fit, "checks": [asdict(finding) for finding in findings]})
    return 0 if fit else UNFIT


def _findings(settings: Settings) -> Iterator[Finding]:
    gpus: list[GPU] = []
    hidden = secrets_of(settings, os.environ)
    failed: list[str] = []
    with closing(Database(settings.database_url)) as database, SmokeTest() as smoke_test:
        for check in all_checks(settings, database, smoke_test, gpus):
            with make_console(stderr=True).status(f"{check.name} …"):
                finding = examine(check, failed)
            if finding.state != "ok":
                failed.append(check.name)
            yield _without(hidden, finding)


def all_checks(settings: Settings, database: Database, smoke_test: SmokeTest, gpus: list[GPU]) -> list[Check]:
    """In the order in which they are made. `gpus` is filled by the first."""

    def devices() -> str:
        gpus.extend(NVML().list_gpus())
        return machine.devices(gpus)

    def opened_store() -> Storage:
        return open_storage(settings, REQUEST_RETRY_TIMEOUT)

    def tables() -> str:
        with causes_told():
            return services.database(settings, database)

    writable = "it must be writable for this user; look at the mount, and at "
    return [
        Check("devices", devices, "look at `nvidia-smi`"),
        Check("shared memory", lambda: machine.shared_memory(len(gpus)), "look at /dev/shm"),
        Check("work directory", lambda: machine.work_dir(settings.work_dir), writable + "FITQUEUE_WORK_DIR"),
        Check("file store", lambda: machine.file_store(opened_store()), writable + "FITQUEUE_STORAGE", seconds=60),
        Check(
            "database", tables, "look at FITQUEUE_DATABASE_URL, and whether it runs; `fitqueue migrate` makes tables"
        ),
        Check(
            "stored files",
            lambda: services.stored_files(database, opened_store()),
            "look at FITQUEUE_STORAGE",
            seconds=60,
            needs="database",
        ),
        Check("clock", lambda: services.skew(database), "look at the database", needs="database"),
        Check(
            "redis", lambda: services.redis(settings), "look at FITQUEUE_REDIS_URL, its password, and whether it runs"
        ),
        Check("workers", lambda: services.workers(settings, database), "look at the database", needs="database"),
        Check("fork server", lambda: smoke_test.fork_server(gpus), "try `python -c 'import tensorflow'`", seconds=240),
        Check(
            "all-reduce", smoke_test.all_reduce, "look at the driver and at /dev/shm", seconds=120, needs="fork server"
        ),
    ]


def _in_a_line(finding: Finding) -> str:
    advice = f" → {finding.advice}" if finding.advice else ""
    return printable(f"{_MARKS[finding.state]} {finding.check:15} {' '.join(finding.found.split())}{advice}")


def secrets_of(settings: Settings, variables: Mapping[str, str]) -> list[str]:
    """What must not be printed: passwords in addresses, as they stand there and decoded, and what is called so."""
    written = [urlsplit(url).password for url in (settings.database_url, settings.redis_url)]
    called_so = {value for name, value in variables.items() if any(word in name.upper() for word in _SECRET_WORDS)}
    named = {value for value in called_so if len(value) >= _SHORTEST_SECRET}
    known = {secret for each in filter(None, written) for secret in (each, unquote(each))}
    return sorted(known | named, key=len, reverse=True)


def _without(hidden: list[str], finding: Finding) -> Finding:
    fields: dict[str, Any] = asdict(finding)
    for secret in hidden:
        fields["found"] = fields["found"].replace(secret, "***")
    return Finding(**fields)
