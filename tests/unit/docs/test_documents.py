"""Documentation is tested: each state, event, setting, error code and command appears in it."""

import re
from contextlib import closing
from pathlib import Path

import pytest

from fitqueue import states
from fitqueue.advice import Verdict
from fitqueue.cli import cli
from fitqueue.diagnosis import RULES
from fitqueue.errors import ERRORS_BY_CODE, FitQueueError
from fitqueue.spec.keras_objects.catalogue import raw_catalogue
from fitqueue.trends import Trend
from service.api.prometheus import Figures
from service.db import Database
from service.settings import Settings
from service.stack import StackFailed
from service.store.counters import Counters
from service.store.gauges import Gauges
from workers.doctor.command import all_checks
from workers.doctor.training import SmokeTest

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


def text_of(name: str) -> str:
    return (DOCS / name).read_text()


@pytest.mark.parametrize("words", [states.JobState, states.Reason, states.Phase, states.EventKind])
def test_states_md_names_each_word(words: type[states.DescribedEnum]) -> None:
    missing = [word.value for word in words if f"`{word.value}`" not in text_of("states.md")]
    assert not missing


def test_states_md_draws_exactly_the_moves() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+)", text_of("states.md"), re.MULTILINE))
    assert drawn == {(str(before), str(after)) for before, after in states.MOVES}


def test_states_md_gives_each_reason_its_state() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (succeeded|failed|cancelled) \|", text_of("states.md"), re.MULTILINE))
    assert rows == {str(reason): str(states.state_of(reason)) for reason in states.Reason}


def test_api_md_names_each_error_code() -> None:
    missing = [code for code in ERRORS_BY_CODE if f"`{code}`" not in text_of("api.md")]
    assert not missing
    assert StackFailed.code in ERRORS_BY_CODE or f"`{StackFailed.code}`" in text_of("operating.md")


def test_api_md_gives_each_error_its_default_message() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (?:\d+|client) \| (.*) \|$", text_of("api.md"), re.MULTILINE))
    assert rows == {code: error().message for code, error in ERRORS_BY_CODE.items() if code in rows}
    assert rows.keys() == ERRORS_BY_CODE.keys() - {FitQueueError.code, StackFailed.code}


def test_diagnosis_md_names_each_verdict() -> None:
    missing = [verdict for verdict in Verdict if f"`{verdict}`" not in text_of("diagnosis.md")]
    assert not missing


def test_diagnosis_md_draws_exactly_the_rules() -> None:
    trends = {"falls": Trend.FALLING, "stands still": Trend.FLAT, "rises": Trend.RISING}
    rows = re.findall(
        r"^\| (falls|rises|stands still) \| ([a-z ,]+) \| `(\w+)` \|", text_of("diagnosis.md"), re.MULTILINE
    )
    drawn = {
        (trends[training], trends[each]): verdict
        for training, validation, verdict in rows
        for each in validation.split(", or ")
    }
    assert drawn == RULES


def test_catalogue_md_gives_each_name_that_is_left_out_with_its_reason() -> None:
    rows = re.findall(r"^\| (\w+) \| (.*) \| (.*) \|$", text_of("catalogue.md"), re.MULTILINE)
    told = {(kind, name): reason for kind, names, reason in rows for name in re.findall(r"`(\w+)`", names)}
    left_out = raw_catalogue()["left_out"]
    assert told == {(kind, name): reason for kind, names in left_out.items() for name, reason in names.items()}


def test_operating_md_names_each_setting() -> None:
    missing = [name for name in Settings.model_fields if f"`FITQUEUE_{name.upper()}`" not in text_of("operating.md")]
    assert not missing


def test_monitoring_md_names_each_metric_and_no_other() -> None:
    nothing = Figures(Gauges(jobs={}, queues={}, running={}, workers=[], gpus_in_use=0), Counters())
    names = {family.name + "_total" * (family.type == "counter") for family in nothing.collect()}
    told = set(re.findall(r"^\| `(fitqueue_\w+)` \|", text_of("monitoring.md"), re.MULTILINE))
    assert told == names
    used = set(re.findall(r"\bfitqueue_\w+", text_of("monitoring.md")))
    assert {name.removesuffix("_bucket") for name in used} == names


def test_operating_md_names_each_check_of_the_doctor_with_its_time(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path}/none.db")) as database, SmokeTest() as smoke_test:
        checks = all_checks(Settings(), database, smoke_test, [])
    rows = re.findall(r"^\| `([a-z -]+)` \| .* \| (\d+) s \|$", text_of("operating.md"), re.MULTILINE)
    assert rows == [(check.name, f"{check.seconds:g}") for check in checks]


def test_the_quickstart_or_the_api_page_names_each_command() -> None:
    documented = (ROOT / "README.md").read_text() + "".join(page.read_text() for page in DOCS.glob("*.md"))
    missing = [name for name in cli.list_commands(None) if f"fitqueue {name}" not in documented]
    assert not missing


def test_every_direct_dependency_has_its_reason() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    declared = set(re.findall(r'^\s+"([a-z0-9-]+)(?:\[[a-z,-]+\])?[><=]', project, re.MULTILINE)) - {"tensorflow-cpu"}
    missing = [name for name in declared if name not in text_of("dependencies.md")]
    assert not missing


@pytest.mark.parametrize("page", sorted([ROOT / "README.md", *DOCS.glob("*.md")]), ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]
