"""The manifests in `examples/kubernetes/` agree with each other, with the code and with the compose file."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from fitqueue.cli import cli
from service.api.prometheus import ServiceCollector
from service.settings import Settings
from service.storage_address import Bucket
from service.store.counters import Counters
from service.store.gauges import Gauges
from tests.unit.docs.pages import ROOT, section, text_of
from workers.doctor.machine import MIN_SHARED_BYTES

MANIFESTS = sorted((ROOT / "examples" / "kubernetes").glob("*.yaml"))
DOCUMENTS: list[dict[str, Any]] = [document for path in MANIFESTS for document in yaml.safe_load_all(path.read_text())]
PODS = {
    document["metadata"]["name"]: document["spec"].get("jobTemplate", document)["spec"]["template"]
    for document in DOCUMENTS
    if document["kind"] in {"CronJob", "Deployment", "Job"}
}
IN_COMPOSE = ("fitqueue-api", "fitqueue-migrate", "fitqueue-worker")
"""The pods whose programs the compose file starts, too."""
COMPOSE_SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def _only_document(kind: str) -> dict[str, Any]:
    [document] = [document for document in DOCUMENTS if document["kind"] == kind]
    return document


def _only_container(pod_name: str) -> dict[str, Any]:
    [container] = PODS[pod_name]["spec"]["containers"]
    return dict(container)


def _variables(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container.get("env", [])}


def _mount_paths(container: dict[str, Any]) -> dict[str, str]:
    return {mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", [])}


def test_each_document_has_a_version_and_a_name() -> None:
    assert all(document["apiVersion"] and document["metadata"]["name"] for document in DOCUMENTS)
    assert sorted(document["kind"] for document in DOCUMENTS) == [
        "ConfigMap", "CronJob", "Deployment", "Deployment", "Job", "Job", "ScaledObject", "Secret", "Service",
    ]  # fmt: skip


def test_selectors_match_their_pods() -> None:
    for document in DOCUMENTS:
        if document["kind"] == "Deployment":
            labels = document["spec"]["selector"]["matchLabels"].items()
            assert labels <= document["spec"]["template"]["metadata"]["labels"].items()
    service = _only_document("Service")
    selected = [
        name for name, pod in PODS.items() if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    ]
    assert selected == ["fitqueue-api"]


def test_the_service_and_the_probes_use_the_port_of_the_api() -> None:
    container = _only_container("fitqueue-api")
    [service_port], [port] = _only_document("Service")["spec"]["ports"], container["ports"]
    assert (service_port["targetPort"], port["containerPort"]) == (port["name"], Settings.model_fields["port"].default)
    assert {container[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} == {port["name"]}


def test_the_manifests_set_only_settings_that_exist() -> None:
    secret, config = _only_document("Secret")["stringData"], _only_document("ConfigMap")["data"]
    names = {*secret, *config}
    for pod in PODS.values():
        for container in pod["spec"]["containers"]:
            names |= _variables(container).keys()
    settings = {f"FITQUEUE_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in names if name.startswith("FITQUEUE_")} <= settings
    assert {"FITQUEUE_DATABASE_URL", "FITQUEUE_REDIS_URL"} <= secret.keys()
    assert {"FITQUEUE_STORAGE", "AWS_REGION", "FITQUEUE_LEASE_SECONDS"} <= config.keys()
    assert all(isinstance(value, str) for value in (config | secret).values())


@pytest.mark.parametrize("name", PODS)
def test_each_container_has_the_settings_and_only_the_rights_that_it_needs(name: str) -> None:
    pod, container = PODS[name]["spec"], _only_container(name)
    sources = [source[kind]["name"] for source in container["envFrom"] for kind in source]
    assert sources == [_only_document("ConfigMap")["metadata"]["name"], _only_document("Secret")["metadata"]["name"]]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert _mount_paths(container).keys() == {volume["name"] for volume in pod.get("volumes", [])}


@pytest.mark.parametrize("name", ["fitqueue-api", "fitqueue-worker", "fitqueue-backup", "fitqueue-restore"])
def test_the_work_directory_is_a_volume(name: str) -> None:
    container = _only_container(name)
    assert _mount_paths(container)["work"] == _variables(container)["FITQUEUE_WORK_DIR"]


def test_the_tables_are_created_before_the_programs_that_need_them() -> None:
    kinds = {path.name: {document["kind"] for document in yaml.safe_load_all(path.read_text())} for path in MANIFESTS}
    assert kinds["settings.yaml"] == {"ConfigMap", "Secret"}
    assert kinds["migrate.yaml"] == {"Job"}
    steps = re.findall(
        r"kubectl (?:apply|wait).*?(\S+\.yaml|fitqueue-migrate)", section(text_of("kubernetes.md"), "Steps")
    )
    names = [Path(step).name for step in steps]
    assert names == ["settings.yaml", "migrate.yaml", "fitqueue-migrate", "fitqueue.yaml", "autoscaler.yaml"]


def test_commands_are_those_of_the_compose_file() -> None:
    for name in IN_COMPOSE:
        command = COMPOSE_SERVICES[name.removeprefix("fitqueue-")]["command"]
        assert " ".join(_only_container(name)["command"]) == command


@pytest.mark.parametrize("name", ["backup", "restore"])
def test_backups_are_made_and_restored_by_commands_that_exist_in_the_same_place(name: str) -> None:
    command = _only_container(f"fitqueue-{name}")["command"]
    click_command = cli.get_command(click.Context(cli), name)
    assert click_command is not None
    assert command[:2] == ["fitqueue", name]
    context = click_command.make_context(name, [part.replace("CHANGE-ME", "bucket") for part in command[2:]])
    assert Bucket("bucket", "backups") in context.params.values()
    assert _only_container(f"fitqueue-{name}")["image"] == _only_container("fitqueue-api")["image"]


def test_only_one_backup_is_made_at_a_time() -> None:
    assert _only_document("CronJob")["spec"]["concurrencyPolicy"] == "Forbid"


def test_the_probes_of_a_worker_are_the_health_check_of_the_compose_file() -> None:
    shell = COMPOSE_SERVICES["worker"]["healthcheck"]["test"][1].replace("$$", "$")
    for probe in ("startupProbe", "livenessProbe"):
        assert _only_container("fitqueue-worker")[probe]["exec"]["command"] == ["sh", "-c", shell]


def test_a_rollout_of_workers_needs_no_additional_gpu() -> None:
    [worker] = [
        document
        for document in DOCUMENTS
        if (document["kind"], document["metadata"]["name"]) == ("Deployment", "fitqueue-worker")
    ]
    assert worker["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_a_worker_has_a_gpu_time_to_stop_and_shared_memory() -> None:
    pod, container = PODS["fitqueue-worker"]["spec"], _only_container("fitqueue-worker")
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    grace = f"${{FITQUEUE_STOP_GRACE_PERIOD:-{pod['terminationGracePeriodSeconds']}s}}"
    assert grace == COMPOSE_SERVICES["worker"]["stop_grace_period"]
    [memory] = [volume["emptyDir"] for volume in pod["volumes"] if volume["name"] == "shm"]
    assert memory == {"medium": "Memory", "sizeLimit": "1Gi"}
    assert MIN_SHARED_BYTES == 1024**3
    assert _mount_paths(container)["shm"] == "/dev/shm"


def test_the_autoscaler_queries_metrics_that_the_api_reports() -> None:
    scaled = _only_document("ScaledObject")["spec"]
    assert scaled["scaleTargetRef"]["name"] in PODS
    [trigger] = scaled["triggers"]
    reported = {family.name for family in ServiceCollector(Gauges({}, {}, {}, [], 0), Counters(), {}).collect()}
    queried = set(re.findall(r"fitqueue_\w+", trigger["metadata"]["query"]))
    assert queried == {"fitqueue_queue_length", "fitqueue_jobs_running"}
    assert queried <= reported


def test_the_autoscaler_counts_the_pool_and_the_slots_of_the_workers() -> None:
    [trigger] = _only_document("ScaledObject")["spec"]["triggers"]
    variables = _variables(_only_container("fitqueue-worker"))
    assert set(re.findall(r'pool="(\w+)"', trigger["metadata"]["query"])) == {variables["FITQUEUE_POOLS"]}
    assert trigger["metadata"]["threshold"] == variables["FITQUEUE_SLOTS"]
