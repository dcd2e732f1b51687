"""What the compose files and the Dockerfile must hold to, as far as it can be seen without an engine."""

import re
from pathlib import Path

import pytest

from service.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()


def test_each_setting_can_be_set_in_env_or_is_the_containers_own() -> None:
    missing = [name for name in Settings.model_fields if f"      FITQUEUE_{name.upper()}:" not in indented(COMPOSE)]
    assert missing == ["port"], "which the container has of its own; FITQUEUE_PORT is the one that is published"


def indented(text: str) -> str:
    """The settings of all processes stand less deep than those of one."""
    return re.sub(r"^  (FITQUEUE_\w+:)", r"      \1", text, flags=re.MULTILINE)


def test_no_password_is_known_to_who_reads_the_file() -> None:
    defaults = re.findall(r"\$\{(?:POSTGRES|REDIS)_PASSWORD(:?-[^}]*)\}", COMPOSE)
    assert defaults == []


@pytest.mark.parametrize("feature", ["# syntax=", "<<", "--link", "--mount"])
def test_the_dockerfile_is_one_for_engines_of_any_age(feature: str) -> None:
    assert feature not in (ROOT / "Dockerfile").read_text()
