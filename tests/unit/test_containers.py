"""What the compose files and the Dockerfile must hold to, as far as it can be seen without an engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.containers import API_IMAGE, WORKER_IMAGE, Deployment
from service.environment import for_children
from service.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]


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


def test_images_for_cpus_and_for_gpus_have_names_of_their_own() -> None:
    """`up` builds what is not there, and asks no further."""
    worker = SERVICES["worker"]
    assert worker["build"]["args"]["REQUIREMENTS"] == "worker-${FITQUEUE_DEVICE:-cpu}"
    assert worker["image"].endswith("-worker:${FITQUEUE_DEVICE:-cpu}")
    assert SERVICES["api"]["image"] == SERVICES["migrate"]["image"] != worker["image"]


def test_tests_build_no_image_that_somebody_uses(tmp_path: Path) -> None:
    made = Deployment(tmp_path)
    values = {"FITQUEUE_DEVICE": "cpu", **env_of(made.folder / ".env")}
    ours = {name: image_of(name, values) for name in ("api", "worker")}
    assert ours == {"api": API_IMAGE, "worker": WORKER_IMAGE}
    assert image_of("api", {"FITQUEUE_IMAGE": "fitqueue"}) == "fitqueue-api" != API_IMAGE


@pytest.fixture(scope="module")
def many_boxes() -> tuple[Any, dict[str, str], str]:
    """What operating.md shows for them: the ports' file, the variables of a worker, and its commands."""
    section = (ROOT / "docs" / "operating.md").read_text().partition("\n## Many boxes")[2].partition("\n## ")[0]
    ports, variables, commands = re.findall(r"```(?:yaml|sh)\n(.*?)```", section, re.DOTALL)
    return yaml.safe_load(ports)["services"], dict(line.split("=", 1) for line in variables.splitlines()), commands


def test_workers_of_other_machines_ask_where_the_ports_are_published(
    many_boxes: tuple[Any, dict[str, str], str],
) -> None:
    published, given, _ = many_boxes
    for service, variable in {"postgres": "FITQUEUE_DATABASE_URL", "redis": "FITQUEUE_REDIS_URL"}.items():
        [port] = published[service]["ports"]
        assert f"@{port.rpartition(':')[0]}/" in given[variable]
    assert set(published) <= set(SERVICES)
    assert set(given) <= set(SERVICES["worker"]["environment"])
    assert {"FITQUEUE_STORAGE", "FITQUEUE_WORK_DIR", "AWS_REGION"} <= set(given)


def test_workers_of_other_machines_run_as_those_of_the_compose_file(
    many_boxes: tuple[Any, dict[str, str], str],
) -> None:
    commands, worker = many_boxes[2], SERVICES["worker"]
    paths = {each.partition(":")[2] for each in worker["volumes"]} - {"/var/lib/fitqueue/storage"}
    assert set(re.findall(r"--volume \S+?:(\S+)", commands)) == paths
    stop_seconds = worker["stop_grace_period"].removesuffix("s")
    for option in (
        f"--shm-size {worker['shm_size']}",
        f"--ulimit stack={worker['ulimits']['stack']}",
        f"--stop-timeout {stop_seconds}",
        f"--env HOME={worker['environment']['HOME']}",
        *(f"--security-opt {each.removesuffix(':true')}" for each in worker["security_opt"]),
        *("--init", "--read-only", f"--tmpfs {worker['tmpfs']}", "--cap-drop ALL", f"--restart {worker['restart']}"),
    ):
        assert option in commands
    assert re.findall(r"(fitqueue-worker:\w+) (.+)", commands)[-1] == ("fitqueue-worker:gpu", worker["command"])
    assert "docker build --build-arg REQUIREMENTS=worker-gpu --tag fitqueue-worker:gpu ." in commands


def test_what_is_compiled_for_a_gpu_is_kept_from_job_to_job(many_boxes: tuple[Any, dict[str, str], str]) -> None:
    [(name, path)] = re.findall(r"^ENV (CUDA_CACHE_PATH)=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert for_children({name: path})[name] == path
    given = SERVICES["worker"]["environment"], many_boxes[1], *pod_environments("fitqueue-worker")
    assert {str(Path(path).parent)} == {variables["FITQUEUE_WORK_DIR"] for variables in given}


def pod_environments(name: str) -> list[dict[str, str]]:
    """Of the containers of a Deployment in the Kubernetes manifest."""
    documents = yaml.safe_load_all((ROOT / "examples" / "kubernetes" / "fitqueue.yaml").read_text())
    [found] = [each for each in documents if (each["kind"], each["metadata"]["name"]) == ("Deployment", name)]
    containers = found["spec"]["template"]["spec"]["containers"]
    return [{each["name"]: each["value"] for each in container["env"]} for container in containers]


def env_of(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def image_of(service: str, values: dict[str, str]) -> str:
    image: str = re.sub(r"\$\{(\w+):-\w+\}", lambda variable: values[variable[1]], SERVICES[service]["image"])
    return image
