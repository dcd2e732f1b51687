"""The compose files and the Dockerfile, as far as they can be checked without a Docker engine."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from benchmarks.containers import API_IMAGE, WORKER_IMAGE, Deployment
from service.environment import for_children
from service.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]


class SeveralMachines(NamedTuple):
    """What operating.md shows for several machines."""

    services: dict[str, Any]
    """The services of the file that publishes the ports."""
    variables: dict[str, str]
    """The settings of a worker on another machine."""
    commands: str


def test_each_setting_can_be_set_in_env() -> None:
    missing = [name for name in Settings.model_fields if f"      FITQUEUE_{name.upper()}:" not in _indented(COMPOSE)]
    assert missing == ["port"], "the port inside the container is fixed; FITQUEUE_PORT is the published one"


def _indented(text: str) -> str:
    """Indent the settings of all processes as deep as those of one service."""
    return re.sub(r"^  (FITQUEUE_\w+:)", r"      \1", text, flags=re.MULTILINE)


def test_no_password_has_a_default() -> None:
    defaults = re.findall(r"\$\{(?:POSTGRES|REDIS)_PASSWORD(:?-[^}]*)\}", COMPOSE)
    assert defaults == []


@pytest.mark.parametrize("feature", ["# syntax=", "<<", "--link", "--mount"])
def test_the_dockerfile_uses_no_feature_that_old_engines_lack(feature: str) -> None:
    assert feature not in (ROOT / "Dockerfile").read_text()


def test_the_images_for_cpus_and_for_gpus_have_different_names() -> None:
    """`up` builds an image only if none has its name."""
    worker = SERVICES["worker"]
    assert worker["build"]["args"]["REQUIREMENTS"] == "worker-${FITQUEUE_DEVICE:-cpu}"
    assert worker["image"].endswith("-worker:${FITQUEUE_DEVICE:-cpu}}")
    assert SERVICES["api"]["image"] == SERVICES["migrate"]["image"] != worker["image"]


def test_the_number_of_workers_can_be_set_in_env() -> None:
    assert SERVICES["worker"]["deploy"]["replicas"] == "${FITQUEUE_WORKERS:-1}"
    assert not [name for name in SERVICES if name != "worker" and "deploy" in SERVICES[name]]


def test_only_the_api_publishes_a_port_and_by_default_on_this_machine_alone() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {"api": ["${FITQUEUE_ADDRESS:-127.0.0.1}:${FITQUEUE_PORT:-8765}:8765"]}


def test_tests_build_images_under_names_of_their_own(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    values = {"FITQUEUE_DEVICE": "cpu", **_read_env(deployment.folder / ".env")}
    images = {name: _image(name, values) for name in ("api", "worker")}
    assert images == {"api": API_IMAGE, "worker": WORKER_IMAGE}
    assert _image("api", {"FITQUEUE_IMAGE": "fitqueue"}) == "fitqueue-api" != API_IMAGE


@pytest.mark.parametrize(
    ("service", "variable"),
    [
        ("api", "FITQUEUE_API_IMAGE"),
        ("migrate", "FITQUEUE_API_IMAGE"),
        ("worker", "FITQUEUE_WORKER_IMAGE"),
        ("redis", "REDIS_IMAGE"),
        ("postgres", "POSTGRES_IMAGE"),
    ],
)
def test_each_image_can_be_given_by_its_digest(service: str, variable: str) -> None:
    image = f"registry.example.org/some/image@sha256:{'0' * 64}"
    assert _image(service, {variable: image}) == image


@pytest.mark.parametrize("service", SERVICES)
def test_each_container_has_only_the_rights_that_it_needs(service: str) -> None:
    """PostgreSQL's image gives its volume to its own user before it becomes that user."""
    container = SERVICES[service]
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["read_only"] is True
    added = {"postgres": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]}
    assert container.get("cap_add", []) == added.get(service, [])


@pytest.mark.parametrize("service", SERVICES)
def test_each_folder_in_memory_has_a_size(service: str) -> None:
    folders = SERVICES[service]["tmpfs"]
    for folder in [folders] if isinstance(folders, str) else folders:
        assert re.fullmatch(r"/[\w/]+:size=\d+[mg](,mode=1777)?", folder)


@pytest.fixture(scope="module")
def several_machines() -> SeveralMachines:
    page = (ROOT / "docs" / "operating.md").read_text()
    section = page.partition("\n## Several machines")[2].partition("\n## ")[0]
    ports, variables, commands = re.findall(r"```(?:yaml|sh)\n(.*?)```", section, re.DOTALL)
    return SeveralMachines(yaml.safe_load(ports)["services"], _parse_env(variables), commands)


def test_workers_on_other_machines_use_the_ports_that_are_published(several_machines: SeveralMachines) -> None:
    variables = several_machines.variables
    for service, name in {"postgres": "FITQUEUE_DATABASE_URL", "redis": "FITQUEUE_REDIS_URL"}.items():
        [port] = several_machines.services[service]["ports"]
        assert f"@{port.rpartition(':')[0]}/" in variables[name]
    assert several_machines.services.keys() <= SERVICES.keys()
    assert variables.keys() <= SERVICES["worker"]["environment"].keys()
    assert {"FITQUEUE_STORAGE", "FITQUEUE_WORK_DIR", "AWS_REGION"} <= variables.keys()


def test_workers_on_other_machines_run_as_those_of_the_compose_file(several_machines: SeveralMachines) -> None:
    commands, worker = several_machines.commands, SERVICES["worker"]
    paths = {volume.partition(":")[2] for volume in worker["volumes"]} - {"/var/lib/fitqueue/storage"}
    assert set(re.findall(r"--volume \S+?:(\S+)", commands)) == paths
    [stop_seconds] = re.findall(r":-(\d+)s\}", worker["stop_grace_period"])
    for option in (
        f"--shm-size {worker['shm_size']}",
        f"--ulimit stack={worker['ulimits']['stack']}",
        f"--stop-timeout {stop_seconds}",
        f"--env HOME={worker['environment']['HOME']}",
        *(f"--security-opt {security_opt.removesuffix(':true')}" for security_opt in worker["security_opt"]),
        *("--read-only", f"--tmpfs {worker['tmpfs']}", "--cap-drop ALL", f"--restart {worker['restart']}"),
    ):
        assert option in commands
    assert worker["init"] is False
    assert "--init" not in commands
    assert re.findall(r"(fitqueue-worker:\w+) (.+)", commands)[-1] == ("fitqueue-worker:gpu", worker["command"])
    assert "docker build --build-arg REQUIREMENTS=worker-gpu --tag fitqueue-worker:gpu ." in commands


def test_what_is_compiled_for_a_gpu_is_kept_for_later_jobs(several_machines: SeveralMachines) -> None:
    [(name, path)] = re.findall(r"^ENV (CUDA_CACHE_PATH)=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert for_children({name: path})[name] == path
    environments = [
        SERVICES["worker"]["environment"], several_machines.variables, *_pod_environments("fitqueue-worker")
    ]  # fmt: skip
    assert {variables["FITQUEUE_WORK_DIR"] for variables in environments} == {str(Path(path).parent)}


def _pod_environments(name: str) -> list[dict[str, str]]:
    """Return the variables of each container of a Deployment in the Kubernetes manifests."""
    documents = yaml.safe_load_all((ROOT / "examples" / "kubernetes" / "fitqueue.yaml").read_text())
    [deployment] = [
        document for document in documents if (document["kind"], document["metadata"]["name"]) == ("Deployment", name)
    ]
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return [{variable["name"]: variable["value"] for variable in container["env"]} for container in containers]


def _read_env(path: Path) -> dict[str, str]:
    return _parse_env(path.read_text())


def _parse_env(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def _image(service: str, values: dict[str, str]) -> str:
    image: str = SERVICES[service]["image"]
    while (variable := re.search(r"\$\{(\w+):-([^{}]*)\}", image)) is not None:
        image = image.replace(variable[0], values.get(variable[1], variable[2]))
    return image
