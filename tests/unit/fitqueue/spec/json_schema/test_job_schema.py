"""The JSON Schema of a job accepts what the service accepts, and finds common mistakes before it is sent."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from fitqueue.datasets import BUILTIN, DatasetInfo
from fitqueue.spec import job_schema, parse_job
from fitqueue.spec.keras_objects.catalogue import kind

ROOT = Path(__file__).parents[5]
FULL = jsonschema_rs.validator_for(job_schema(with_arguments=True))
FOR_CLIENTS = jsonschema_rs.validator_for(job_schema(with_arguments=False))
LAYERS: dict[str, Any] = json.loads((ROOT / "tests" / "trainer" / "layers.json").read_text())
FIELDS = {
    "CompileSpec", "DataSpec", "FitSpec", "InitialWeights", "PadSequences", "Prepare", "PrepareStep", "Resources",
    "Validation",
}  # fmt: skip
MASKED = ROOT / "tests" / "unit" / "fitqueue" / "spec" / "keras_objects" / "masked.json"


def _documented_jobs() -> list[dict[str, Any]]:
    files = [path.read_text() for path in sorted((ROOT / "examples").glob("*.json"))]
    blocks = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "spec.md").read_text(), re.DOTALL)
    return [job for job in map(json.loads, [*files, *blocks]) if "model" in job]


def _find_dataset(name: str) -> DatasetInfo | None:
    return BUILTIN[name].info if name in BUILTIN else None


def _faults(job: Any, validator: Any = FULL) -> list[str]:
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message[:200]}" for error in validator.iter_errors(job)]


@pytest.fixture
def job() -> dict[str, Any]:
    return copy.deepcopy(_documented_jobs()[0])


@pytest.mark.parametrize("validator", [FULL, FOR_CLIENTS], ids=["full", "for clients"])
def test_documented_jobs_match_as_they_are_sent_and_as_they_are_stored(validator: Any) -> None:
    jobs = _documented_jobs()
    assert len(jobs) >= 4
    for job in jobs:
        assert _faults(job, validator) == []
        assert _faults(parse_job(job, _find_dataset).spec.to_json(), validator) == []


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_matches_with_its_arguments(name: str, job: dict[str, Any]) -> None:
    job["model"]["config"]["layers"] = [{"class_name": name, "config": LAYERS[name].get("config", {})}]
    assert _faults(job) == []


def test_what_keras_writes_matches(job: dict[str, Any]) -> None:
    job["model"] = json.loads(MASKED.read_text())
    operations = [index for index, layer in enumerate(job["model"]["config"]["layers"]) if _is_operation(layer)]
    for index in reversed(operations):  # they are no layers, and an editor does not know them
        del job["model"]["config"]["layers"][index]
    assert operations
    assert _faults(job) == []
    assert _faults({**job, "model": json.dumps(job["model"])}) == []


def _is_operation(layer: dict[str, Any]) -> bool:
    return "ops" in (layer.get("module") or "")


def test_the_forms_of_a_model_with_several_outputs_match(job: dict[str, Any]) -> None:
    compiled = job["compile"]
    for loss in ("mse", ["mse", None], {"a": "mse", "b": {"class_name": "Huber"}}):
        for metrics in (["mae"], ["mae", ["mse"]], {"a": ["mae"], "b": "mse"}, None):
            for weights in (1, [1, None], {"a": 0.5}, None):
                compiled |= {"loss": loss, "metrics": metrics, "loss_weights": weights}
                assert _faults(job) == []
    for arrays in ("x", ["x", "z"], {"first": "x"}):
        job["data"] |= {"x": arrays, "y": arrays, "sample_weight": arrays}
        assert _faults(job) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("epochs", 3),
        ("fit/epoch", 3),
        ("fit/epochs", "3"),
        ("compile/loss", "mean_square"),
        ("model/class_name", "Dense"),
        ("model/config/layers/0/class_name", "Dens"),
        ("model/config/layers/0/config/unit", 3),
        ("model/config/layers/0/config/activation", "rellu"),
        ("callbacks/0/config/patience", -1),
        ("data/dataset", 5),
    ],
)
def test_a_mistake_is_found(job: dict[str, Any], path: str, value: Any) -> None:
    container: Any = job
    *keys, last = path.split("/")
    for key in keys:
        container = container[int(key)] if isinstance(container, list) else container[key]
    container[last] = value
    assert _faults(job) != []


def test_a_required_argument_that_is_missing_is_found(job: dict[str, Any]) -> None:
    for layer in ({"class_name": "Dense"}, {"class_name": "Dense", "config": {}}):
        job["model"]["config"]["layers"] = [layer]
        assert _faults(job) != []


def test_an_argument_of_keras_2_is_accepted_and_struck_through(job: dict[str, Any]) -> None:
    job["compile"]["optimizer"] = {"class_name": "Adam", "config": {"lr": 0.1}}
    assert _faults(job) == []
    text = json.dumps(job_schema(with_arguments=True)["$defs"]["Optimizer"])
    assert '"lr": {"deprecated": true, "description": "today: `learning_rate`"}' in text


def test_every_class_of_the_catalogue_has_its_arguments() -> None:
    definitions = job_schema(with_arguments=True)["$defs"]
    for name, title in (("layers", "Layer"), ("applications", "Model"), ("callbacks", "Callback"), ("losses", "Loss")):
        described = {each for case in definitions[title]["allOf"] for each in _names_in(case)}
        assert set(kind(name).classes) <= described


def _names_in(case: dict[str, Any]) -> list[str]:
    names: list[str] = case["if"]["properties"]["class_name"]["enum"]
    return names


def test_every_field_of_a_job_has_a_description() -> None:
    schema = job_schema(with_arguments=True)
    parts = {"NewJob": schema, **{name: each for name, each in schema["$defs"].items() if name in FIELDS}}
    assert len(parts) == len(FIELDS) + 1
    assert [
        f"{part}.{name}"
        for part, each in parts.items()
        for name, field in each["properties"].items()
        if "description" not in field
    ] == []


def test_the_address_of_the_schema_is_left_out_of_the_job(job: dict[str, Any]) -> None:
    parsed = parse_job({"$schema": "http://localhost:8765/api/v1/job.schema.json", **job}, _find_dataset)
    assert parsed.spec.model_copy(update={"seed": 1}) == parse_job(job, _find_dataset).spec.model_copy(
        update={"seed": 1}
    )
    assert [notice for notice in parsed.notices if "schema" in notice.message] == []
