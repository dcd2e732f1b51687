"""The command `fitqueue doctor`. It joins the command line through the entry points in `pyproject.toml`."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from typing import Final
from urllib.parse import unquote, urlsplit

import click

from fitqueue.cli.output import make_console, print_json, wrap_for_terminal
from fitqueue.cli.text import printable
from service.command_errors import database_errors_explained, read_settings
from service.db import Database
from service.settings import Settings
from service.storage import REQUEST_RETRY_TIMEOUT, Storage, open_storage
from service.storage_marking import identity_reader
from workers.doctor import machine, services
from workers.doctor.checks import Check, CheckResult, run_check
from workers.doctor.training import SmokeTest
from workers.supervisor.devices import GPU, NVML

NOT_READY: Final = 1

_MARKS: Final = {"ok": "✓", "failed": "✗", "skipped": "-"}
_SECRET_WORDS: Final = ("PASSWORD", "SECRET", "TOKEN", "CREDENTIAL")
_MIN_SECRET_LENGTH: Final = 4
"""For a variable that only its name makes a secret. A shorter value, such as `1`, would hide parts of other text."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def doctor(as_json: bool) -> int:
    """Check whether this machine can run a worker, with the settings of its environment.

    The checks: devices, shared memory, folders, database, clock, Redis. Then a training process is forked and computes
    a sum over all devices. Run it where a worker runs, for example with `docker compose exec worker fitqueue doctor`.
    Exits with 1 if a check fails.
    """
    settings = read_settings()
    results = []
    for result in _results(settings):
        results.append(result)
        if not as_json:
            click.echo(wrap_for_terminal(_to_line(result)))
    is_ready = all(result.state == "ok" for result in results)
    if as_json:
        print_json({"ready": is_ready, "checks": [asdict(result) for result in results]})
    return 0 if is_ready else NOT_READY


def _results(settings: Settings) -> Iterator[CheckResult]:
    gpus: list[GPU] = []
    secrets = find_secrets(settings, os.environ)
    failed: list[str] = []
    with closing(Database(settings.database_url)) as database, SmokeTest() as smoke_test:
        for check in make_checks(settings, database, smoke_test, gpus):
            with make_console(stderr=True).status(f"{check.name} …"):
                result = run_check(check, failed)
            if result.state != "ok":
                failed.append(check.name)
            yield _without_secrets(result, secrets)


def make_checks(settings: Settings, database: Database, smoke_test: SmokeTest, gpus: list[GPU]) -> list[Check]:
    """Return the checks in their order. The first one fills `gpus`."""

    def check_devices() -> str:
        gpus.extend(NVML(os.environ.get("CUDA_VISIBLE_DEVICES")).list_gpus())
        return machine.check_devices(gpus)

    def storage() -> Storage:
        return open_storage(settings, REQUEST_RETRY_TIMEOUT, lambda: None)

    def own_storage() -> Storage:
        return open_storage(settings, REQUEST_RETRY_TIMEOUT, identity_reader(database))

    def check_database() -> str:
        with database_errors_explained():
            return services.check_database(settings, database)

    writable = "this user must be able to write there; look at the mount, and at "
    return [
        Check("devices", check_devices, "look at `nvidia-smi`"),
        Check("shared memory", lambda: machine.check_shared_memory(len(gpus)), "look at /dev/shm"),
        Check("work directory", lambda: machine.check_work_dir(settings.work_dir), writable + "FITQUEUE_WORK_DIR"),
        Check(
            "storage",
            lambda: machine.check_storage(storage()),
            f"{writable}FITQUEUE_STORAGE; `fitqueue migrate` creates it",
            timeout=60,
        ),
        Check(
            "database",
            check_database,
            "look at FITQUEUE_DATABASE_URL, and whether the database runs; `fitqueue migrate` creates its tables",
        ),
        Check(
            "stored files",
            lambda: services.check_stored_files(database, own_storage()),
            "look at FITQUEUE_STORAGE; `fitqueue migrate` marks the storage of a database",
            timeout=60,
            needs="database",
        ),
        Check("clock", lambda: services.check_clock(database), "look at the database", needs="database"),
        Check(
            "redis",
            lambda: services.check_redis(settings),
            "look at FITQUEUE_REDIS_URL and its password, and whether Redis runs",
        ),
        Check("workers", lambda: services.check_workers(settings, database), "look at the database", needs="database"),
        Check("fork server", lambda: smoke_test.fork_server(gpus), "try `python -c 'import tensorflow'`", timeout=240),
        Check(
            "all-reduce", smoke_test.all_reduce, "look at the driver and at /dev/shm", timeout=120, needs="fork server"
        ),
    ]


def _to_line(result: CheckResult) -> str:
    advice = f" → {result.advice}" if result.advice else ""
    return printable(f"{_MARKS[result.state]} {result.check:15} {' '.join(result.detail.split())}{advice}")


def find_secrets(settings: Settings, variables: Mapping[str, str]) -> list[str]:
    """Return what must not be printed, the longest first.

    These are the passwords in addresses, as written and decoded, and variables whose names say that they are secret.
    """
    passwords = [urlsplit(url).password for url in (settings.database_url, settings.redis_url)]
    in_addresses = {form for password in filter(None, passwords) for form in (password, unquote(password))}
    by_name = {value for name, value in variables.items() if any(word in name.upper() for word in _SECRET_WORDS)}
    secrets = in_addresses | {value for value in by_name if len(value) >= _MIN_SECRET_LENGTH}
    return sorted(secrets, key=len, reverse=True)


def _without_secrets(result: CheckResult, secrets: list[str]) -> CheckResult:
    detail = result.detail
    for secret in secrets:
        detail = detail.replace(secret, "***")
    return replace(result, detail=detail)
