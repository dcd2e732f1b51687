"""The documents agree with the code: states, events, settings, error codes, metrics, checks and commands."""

import re
from contextlib import closing
from pathlib import Path
from typing import Final

import click
import pytest

from fitqueue import states
from fitqueue.advice import Verdict
from fitqueue.audit_actions import AuditAction
from fitqueue.cli import cli
from fitqueue.diagnosis import RULES
from fitqueue.errors import ERRORS_BY_CODE, FitQueueError
from fitqueue.spec import JobSpec
from fitqueue.spec.findings import FaultCode, NoticeCode
from fitqueue.spec.keras_objects.catalogue import raw_catalogue
from fitqueue.states import DescribedEnum, EventKind, JobState, Phase, Reason
from fitqueue.trends import Trend
from fitqueue.webhooks import DeliveryState, WebhookEvent, WebhookKind
from service.api.errors import status_of
from service.api.prometheus import ServiceCollector
from service.backup.errors import BackupFailed
from service.db import Database
from service.settings import Settings
from service.stack import StackFailed
from service.store.counters import Counters
from service.store.gauges import Gauges
from tests.unit.docs.pages import DOCS, ROOT, list_items, section, table_rows, text_of
from workers.doctor.command import make_checks
from workers.doctor.training import SmokeTest

OF_COMMANDS: Final[dict[str, type[FitQueueError]]] = {error.code: error for error in (StackFailed, BackupFailed)}
"""Errors of commands of the service, which the API never answers."""


@pytest.mark.parametrize(
    ("page", "heading", "words"),
    [
        ("states.md", "States", JobState),
        ("states.md", "Reasons", Reason),
        ("states.md", "Phases", Phase),
        ("states.md", "Events", EventKind),
        ("webhooks.md", "Kinds", WebhookKind),
        ("webhooks.md", "Events", WebhookEvent),
        ("webhooks.md", "Deliveries", DeliveryState),
        ("spec.md", "Faults", FaultCode),
        ("spec.md", "Notices", NoticeCode),
        ("operating.md", "The audit log", AuditAction),
    ],
    ids=[
        "states",
        "reasons",
        "phases",
        "events",
        "kinds",
        "told events",
        "deliveries",
        "faults",
        "notices",
        "audit actions",
    ],
)
def test_a_page_lists_each_word_with_its_description(page: str, heading: str, words: type[DescribedEnum]) -> None:
    items = list_items(section(text_of(page), heading))
    assert list(items) == [word.value for word in words]
    assert [word.value for word in words if not items[word.value].startswith(word.about)] == []


def test_states_md_draws_exactly_the_moves() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+)", text_of("states.md"), re.MULTILINE))
    assert drawn == {(str(before), str(after)) for before, after in states.MOVES}


def test_states_md_gives_each_reason_its_state_and_whether_the_job_can_be_extended() -> None:
    assert table_rows(section(text_of("states.md"), "Reasons")) == [
        [f"`{reason}`", str(states.state_of(reason)), "yes" if reason in states.EXTENDABLE else "no"]
        for reason in Reason
    ]


def test_api_md_gives_each_error_its_message_and_its_status() -> None:
    errors = section(text_of("api.md"), "Errors")
    listed = re.findall(r"^- `(\w+)`(?: \((\d+)\))?: ((?:.|\n  )*)", errors, re.MULTILINE)
    assert {code for code, _, _ in listed} == ERRORS_BY_CODE.keys() - {FitQueueError.code} | OF_COMMANDS.keys()
    for code, status, text in listed:
        error = (OF_COMMANDS | ERRORS_BY_CODE)[code]()
        assert text.replace("\n  ", " ").startswith(error.message)
        if status:
            assert int(status) == status_of(error)
    assert f"`{FitQueueError.code}`" in errors


def test_diagnosis_md_lists_each_verdict() -> None:
    assert list_items(text_of("diagnosis.md").partition("```json")[0]).keys() == {str(verdict) for verdict in Verdict}


def test_diagnosis_md_shows_exactly_the_rules() -> None:
    trends = {"falls": Trend.FALLING, "stands still": Trend.FLAT, "rises": Trend.RISING}
    shown = {
        (trends[training], trends[trend]): verdict.strip("`")
        for training, validation, verdict in table_rows(text_of("diagnosis.md"))
        for trend in validation.split(", or ")
    }
    assert shown == RULES


def test_catalogue_md_gives_each_name_that_is_left_out_its_reason() -> None:
    left_out = {kind: names for kind, names in raw_catalogue()["left_out"].items() if names}
    page = section(text_of("catalogue.md"), "What is left out")
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == list(left_out)
    for kind, reasons in left_out.items():
        listed = re.findall(r"^- ((?:`\w+`,?\s+)*`\w+`):\s+((?:.|\n  )*)", section(page, kind, level=3), re.MULTILINE)
        shown = {name: " ".join(reason.split()) for names, reason in listed for name in re.findall(r"`(\w+)`", names)}
        assert shown == reasons


def _shown_default(default: object) -> str:
    shown = ",".join(default) if isinstance(default, tuple) else default
    return "" if shown == "" else f"`{shown}`"


def test_operating_md_gives_each_setting_its_default_and_its_description() -> None:
    page = section(text_of("operating.md"), "Settings")
    fields = {f"FITQUEUE_{name.upper()}": field for name, field in Settings.model_fields.items()}
    assert [[variable, default] for variable, default, _ in table_rows(page)] == [
        [f"`{variable}`", _shown_default(field.default)] for variable, field in fields.items()
    ]
    items = list_items(page)
    assert list(items) == list(fields)
    assert [name for name, field in fields.items() if not items[name].startswith(str(field.description))] == []


def test_monitoring_md_lists_each_metric_with_its_type_and_no_other() -> None:
    empty = ServiceCollector(Gauges(jobs={}, queues={}, running={}, workers=[], gpus_in_use=0), Counters(), {})
    types = {family.name + "_total" * (family.type == "counter"): family.type for family in empty.collect()}
    page = section(text_of("monitoring.md"), "Prometheus")
    assert {name.strip("`"): kind for name, kind, _ in table_rows(page)} == types
    assert list_items(page).keys() == types.keys()
    used = set(re.findall(r"\bfitqueue_\w+", text_of("monitoring.md")))
    assert {name.removesuffix("_bucket") for name in used} == types.keys()


def test_operating_md_lists_each_check_of_the_doctor_with_its_time_limit(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path}/none.db")) as database, SmokeTest() as smoke_test:
        checks = make_checks(Settings(), database, smoke_test, [])
    page = section(text_of("operating.md"), "Checking a machine")
    assert table_rows(page) == [
        [f"`{check.name}`", f"{check.timeout:g} s", f"`{check.needs}`" if check.needs else ""] for check in checks
    ]
    assert list(list_items(page)) == [check.name for check in checks]


def test_some_page_shows_each_command() -> None:
    documented = (ROOT / "README.md").read_text() + "".join(page.read_text() for page in DOCS.glob("*.md"))
    assert [name for name in cli.list_commands(None) if f"fitqueue {name}" not in documented] == []  # type: ignore[arg-type]


def test_every_direct_dependency_has_its_reason() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    declared = set(re.findall(r'^\s+"([a-z0-9-]+)(?:\[[a-z,-]+\])?[><=]', project, re.MULTILINE)) - {"tensorflow-cpu"}
    assert [name for name in declared if f"**{name}**" not in text_of("dependencies.md")] == []


def test_spec_md_names_the_fields_that_a_job_must_have() -> None:
    required = [f"`{name}`" for name, field in JobSpec.model_fields.items() if field.is_required()]
    assert f"{', '.join(required[:-1])} and {required[-1]} are required; everything else has a default" in " ".join(
        text_of("spec.md").split()
    )


def test_operating_md_gives_each_option_of_up_its_variable_and_its_default() -> None:
    command = cli.get_command(None, "up")  # type: ignore[arg-type]
    assert command is not None
    options = {option.opts[0]: option for option in command.params if isinstance(option, click.Option)}
    rows = table_rows(section(text_of("operating.md"), "Without containers", level=3))
    shown = {row[0].strip("`"): row[1:] for row in rows if row[0].startswith("`--")}
    assert shown.keys() == options.keys() - {"--run"}
    for name, (variable, _, default) in shown.items():
        setting = Settings.model_fields.get(name.removeprefix("--"))
        assert bool(variable) == (setting is not None)
        assert default == f"`{options[name].default if setting is None else setting.default}`"
