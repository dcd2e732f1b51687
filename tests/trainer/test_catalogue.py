"""The catalogue matches the installed version of Keras."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from fitqueue.spec.findings import Findings, Pointer
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.naming import snake_case
from fitqueue.spec.keras_objects.objects import check_value
from tools.layer_counts import count_layers

ROOT = Path(__file__).parents[2]
KINDS = set(catalogue.raw_catalogue()["kinds"])
CLASSES = [(kind, name) for kind in catalogue.raw_catalogue()["kinds"] for name in catalogue.kind(kind).classes]


def test_the_catalogue_is_what_the_tool_extracts_from_keras() -> None:
    """`make catalogue` writes it."""
    completed = subprocess.run(
        [sys.executable, "-c", "from tools.make_catalogue import *; print(as_text(catalogue()), end='')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(completed.stdout) == catalogue.raw_catalogue()
    assert completed.stdout == (ROOT / "fitqueue" / "spec" / "keras_objects" / "catalogue.json").read_text()


@pytest.mark.parametrize("name", ["NASNetLarge", "EfficientNetV2L", "ResNet50", "MobileNetV3Small", "ConvNeXtTiny"])
def test_the_catalogue_knows_how_many_layers_an_architecture_has(name: str) -> None:
    assert catalogue.kind("applications").classes[name].layers == count_layers(name)


def test_keras_knows_the_aliases_of_classes() -> None:
    for kind in ("optimizers", "metrics", "initializers", "regularizers", "constraints"):
        module = getattr(keras, kind)
        for alias, class_name in catalogue.kind(kind).aliases.items():
            known = getattr(keras.src, kind).ALL_OBJECTS_DICT
            assert known.get(alias, getattr(module, alias, None)) is getattr(module, class_name)


@pytest.mark.parametrize("kind", ["losses", "metrics", "initializers", "regularizers", "constraints", "activations"])
def test_keras_knows_the_names(kind: str) -> None:
    compiled_only = {"accuracy", "acc", "crossentropy", "ce"}
    for name in catalogue.kind(kind).names.keys() - compiled_only:
        assert getattr(keras, kind).get(name) is not None, name


def test_keras_knows_the_names_of_optimizers() -> None:
    for name, class_name in catalogue.kind("optimizers").names.items():
        assert type(keras.optimizers.get(name)).__name__ == class_name


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name in CLASSES if kind == "layers"])
def test_snake_case_equals_that_of_keras(kind: str, name: str) -> None:
    assert keras.src.utils.naming.to_snake_case(name) == snake_case(name)


def test_nothing_that_runs_code_or_opens_files_is_in_the_catalogue() -> None:
    """The tool has a list of its own; this one was made by reading Keras."""
    names = {name for _, name in CLASSES} | {name for kind in KINDS for name in catalogue.kind(kind).names}
    assert not names & {
        "Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "StringLookup", "TextVectorization",
        "LambdaCallback", "RemoteMonitor", "OrbaxCheckpoint", "MeanMetricWrapper", "LossFunctionWrapper",
    }  # fmt: skip


def test_everything_that_keras_exports_is_in_the_catalogue_or_left_out_for_a_reason() -> None:
    for kind in KINDS - {"activations", "dtype_policies"}:
        module = keras.optimizers.schedules if kind == "schedules" else getattr(keras, kind)
        exported = {
            name
            for name, value in vars(module).items()
            if (inspect.isclass(value) or kind == "applications") and name[0].isupper()
        }
        known = catalogue.kind(kind)
        assert exported <= {*known.classes, *known.names, *catalogue.raw_catalogue()["left_out"][kind]}, kind
        assert all(reason.endswith(".") for reason in catalogue.raw_catalogue()["left_out"][kind].values())


def test_only_text_that_a_pattern_allows_reaches_keras() -> None:
    """Arguments that Keras takes for paths, code or expressions have a list of values or a pattern."""
    unrestricted = {
        (entry, argument)
        for kind, entry in CLASSES
        for argument, schema in catalogue.kind(kind).classes[entry].properties.items()
        for option in schema.get("anyOf", [schema])
        if option.get("type") == "string" and "pattern" not in option
    }
    assert unrestricted == {
        ("BackupAndRestore", "backup_dir"),  # never built
        ("ModelCheckpoint", "filepath"),  # a Template
        ("ModelCheckpoint", "monitor"),
        ("EarlyStopping", "monitor"),
        ("ReduceLROnPlateau", "monitor"),
    }


@pytest.mark.parametrize(("kind", "name"), CLASSES)
def test_defaults_are_valid_values(kind: str, name: str) -> None:
    for argument, schema in catalogue.kind(kind).classes[name].properties.items():
        if "default" in schema and (kind, argument) != ("applications", "name"):
            findings = Findings()
            check_value(schema["default"], schema, Pointer(findings))
            assert findings.faults == [], argument


@pytest.mark.parametrize("name", catalogue.kind("applications").classes)
def test_the_weights_of_an_architecture_must_not_be_a_path(name: str) -> None:
    weights = catalogue.kind("applications").classes[name].properties["weights"]
    assert weights["anyOf"] == [{"enum": ["imagenet"]}, {"type": "null"}]
