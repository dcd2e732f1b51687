"""The manifests of `examples/kubernetes/` fit together, and fit the code."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.api.prometheus import Figures
from service.settings import Settings
from service.store.counters import Counters
from service.store.gauges import Gauges
from workers.doctor.machine import SHARED_BYTES

ROOT = Path(__file__).parents[3]
DOCUMENTS: list[dict[str, Any]] = [
    document
    for path in sorted((ROOT / "examples" / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]
PODS = {
    document["metadata"]["name"]: document["spec"]["template"]
    for document in DOCUMENTS
    if document["kind"] in {"Deployment", "Job"}
}


def _one(kind: str) -> dict[str, Any]:
    [found] = [document for document in DOCUMENTS if document["kind"] == kind]
    return found


def _containers() -> list[Any]:
    return [
        pytest.param(pod["spec"], each, id=name) for name, pod in PODS.items() for each in pod["spec"]["containers"]
    ]


def test_each_document_says_what_it_is() -> None:
    assert all(each["apiVersion"] and each["metadata"]["name"] for each in DOCUMENTS)
    assert sorted(each["kind"] for each in DOCUMENTS) == [
        "ConfigMap", "Deployment", "Deployment", "Job", "ScaledObject", "Secret", "Service",
    ]  # fmt: skip


def test_selectors_find_their_pods() -> None:
    for document in DOCUMENTS:
        if document["kind"] == "Deployment":
            wanted = document["spec"]["selector"]["matchLabels"].items()
            assert wanted <= document["spec"]["template"]["metadata"]["labels"].items()
    service = _one("Service")
    found = [
        name for name, pod in PODS.items() if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    ]
    assert found == ["fitqueue-api"]
    [port], [container] = service["spec"]["ports"], PODS["fitqueue-api"]["spec"]["containers"]
    [named] = container["ports"]
    assert (port["targetPort"], named["containerPort"]) == (named["name"], Settings.model_fields["port"].default)
    assert {container[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} == {named["name"]}


def test_settings_are_the_code_s() -> None:
    given = {*_one("Secret")["stringData"], *_one("ConfigMap")["data"]}
    for pod in PODS.values():
        for container in pod["spec"]["containers"]:
            given |= {each["name"] for each in container.get("env", [])}
    known = {f"FITQUEUE_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in given if name.startswith("FITQUEUE_")} <= known
    assert {"FITQUEUE_DATABASE_URL", "FITQUEUE_REDIS_URL"} <= set(_one("Secret")["stringData"])
    assert {"FITQUEUE_STORAGE", "AWS_REGION", "FITQUEUE_LEASE_SECONDS"} <= set(_one("ConfigMap")["data"])
    assert all(isinstance(value, str) for value in (_one("ConfigMap")["data"] | _one("Secret")["stringData"]).values())


@pytest.mark.parametrize(("pod", "container"), _containers())
def test_every_container_has_the_settings_and_no_more_rights_than_it_needs(
    pod: dict[str, Any], container: dict[str, Any]
) -> None:
    sources = [each[kind]["name"] for each in container["envFrom"] for kind in each]
    assert sources == [_one("ConfigMap")["metadata"]["name"], _one("Secret")["metadata"]["name"]]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    mounted = {each["name"] for each in container.get("volumeMounts", [])}
    assert mounted == {each["name"] for each in pod.get("volumes", [])}


@pytest.mark.parametrize("name", ["fitqueue-api", "fitqueue-worker"])
def test_what_is_on_its_way_to_the_bucket_has_a_place_that_can_be_written(name: str) -> None:
    [container] = PODS[name]["spec"]["containers"]
    paths = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert paths["work"] == {each["name"]: each["value"] for each in container["env"]}["FITQUEUE_WORK_DIR"]


def test_the_tables_come_before_what_needs_them() -> None:
    folder = ROOT / "examples" / "kubernetes"
    kinds = {
        path.name: {each["kind"] for each in yaml.safe_load_all(path.read_text())} for path in folder.glob("*.yaml")
    }
    assert kinds["settings.yaml"] == {"ConfigMap", "Secret"}
    assert kinds["migrate.yaml"] == {"Job"}
    applied = re.findall(
        r"kubectl (?:apply|wait).*?(\S+\.yaml|fitqueue-migrate)", (ROOT / "docs/kubernetes.md").read_text()
    )
    names = [Path(each).name for each in applied]
    assert names == ["settings.yaml", "migrate.yaml", "fitqueue-migrate", "fitqueue.yaml", "autoscaler.yaml"]


def test_commands_are_those_of_the_compose_file() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name, pod in PODS.items():
        [container] = pod["spec"]["containers"]
        assert " ".join(container["command"]) == services[name.removeprefix("fitqueue-")]["command"]


def test_a_worker_s_pulse_is_felt_as_in_the_compose_file() -> None:
    [container] = PODS["fitqueue-worker"]["spec"]["containers"]
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    shell = services["worker"]["healthcheck"]["test"][1].replace("$$", "$")
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["exec"]["command"] == ["sh", "-c", shell]


def test_a_rollout_of_workers_needs_no_gpu_beside_theirs() -> None:
    names = ("Deployment", "fitqueue-worker")
    [worker] = [each for each in DOCUMENTS if (each["kind"], each["metadata"]["name"]) == names]
    assert worker["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_a_worker_has_a_gpu_time_to_stop_and_shared_memory() -> None:
    pod = PODS["fitqueue-worker"]["spec"]
    [container] = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    stop = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["worker"]["stop_grace_period"]
    assert f"{pod['terminationGracePeriodSeconds']}s" == stop
    [memory] = [each["emptyDir"] for each in pod["volumes"] if each["name"] == "shm"]
    assert memory == {"medium": "Memory", "sizeLimit": "1Gi"}
    assert SHARED_BYTES == 1024**3
    paths = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert paths["shm"] == "/dev/shm"


def test_the_autoscaler_asks_for_metrics_that_are_told() -> None:
    scaled = _one("ScaledObject")["spec"]
    assert scaled["scaleTargetRef"]["name"] in PODS
    [trigger] = scaled["triggers"]
    told = {family.name for family in Figures(Gauges({}, {}, {}, [], 0), Counters()).collect()}
    asked = set(re.findall(r"fitqueue_\w+", trigger["metadata"]["query"]))
    assert asked == {"fitqueue_queue_length", "fitqueue_jobs_running"}
    assert asked <= told
    [worker] = PODS["fitqueue-worker"]["spec"]["containers"]
    environment = {each["name"]: each["value"] for each in worker["env"]}
    assert set(re.findall(r'pool="(\w+)"', trigger["metadata"]["query"])) == {environment["FITQUEUE_POOLS"]}
    assert trigger["metadata"]["threshold"] == environment["FITQUEUE_SLOTS"]
