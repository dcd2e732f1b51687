"""The catalogue against the Keras that is installed."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.naming import snake_case
from fitqueue.spec.keras_objects.objects import check_value
from fitqueue.spec.report import Pointer, Report
from tools.layer_counts import count_layers

ROOT = Path(__file__).parents[2]
KINDS = set(catalogue.raw_catalogue()["kinds"])
CLASSES = [(kind, name) for kind in catalogue.raw_catalogue()["kinds"] for name in catalogue.kind(kind).classes]


def test_it_is_what_the_tool_takes_from_keras() -> None:
    """`make catalogue` writes it anew."""
    made = subprocess.run(
        [sys.executable, "-c", "from tools.make_catalogue import *; print(as_text(catalogue()), end='')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(made.stdout) == catalogue.raw_catalogue()
    assert made.stdout == (ROOT / "fitqueue" / "spec" / "keras_objects" / "catalogue.json").read_text()


@pytest.mark.parametrize("name", ["NASNetLarge", "EfficientNetV2L", "ResNet50", "MobileNetV3Small", "ConvNeXtTiny"])
def test_architectures_are_weighed_by_their_layers(name: str) -> None:
    assert catalogue.kind("applications").classes[name].layers == count_layers(name)


def test_aliases_are_names_of_the_class_to_keras() -> None:
    for kind in ("optimizers", "metrics", "initializers", "regularizers", "constraints"):
        module = getattr(keras, kind)
        for alias, class_name in catalogue.kind(kind).aliases.items():
            known = getattr(keras.src, kind).ALL_OBJECTS_DICT
            assert known.get(alias, getattr(module, alias, None)) is getattr(module, class_name)


@pytest.mark.parametrize("kind", ["losses", "metrics", "initializers", "regularizers", "constraints", "activations"])
def test_names_are_names_to_keras(kind: str) -> None:
    compiled_only = {"accuracy", "acc", "crossentropy", "ce"}
    for name in catalogue.kind(kind).names.keys() - compiled_only:
        assert getattr(keras, kind).get(name) is not None, name


def test_names_of_optimizers_are_names_to_keras() -> None:
    for name, class_name in catalogue.kind("optimizers").names.items():
        assert type(keras.optimizers.get(name)).__name__ == class_name


@pytest.mark.parametrize(("kind", "name"), [one for one in CLASSES if one[0] == "layers"])
def test_snake_case_is_that_of_keras(kind: str, name: str) -> None:
    keras.backend.clear_session()
    assert keras.src.utils.naming.auto_name(name) == snake_case(name)


def test_nothing_that_runs_code_or_opens_files_is_in_it() -> None:
    """The list of what is left out is the tool's; this one was made by reading Keras."""
    names = {name for _, name in CLASSES} | {name for kind in KINDS for name in catalogue.kind(kind).names}
    assert not names & {
        "Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "StringLookup", "TextVectorization",
        "LambdaCallback", "RemoteMonitor", "OrbaxCheckpoint", "MeanMetricWrapper", "LossFunctionWrapper",
    }  # fmt: skip


def test_what_keras_exports_is_in_it_or_left_out_with_a_reason() -> None:
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


def test_no_text_of_a_user_reaches_keras_but_what_a_pattern_allows() -> None:
    """What is a path to Keras, or code, or an expression, has a list of values or a pattern."""
    free = {
        (entry, argument)
        for kind, entry in CLASSES
        for argument, schema in catalogue.kind(kind).classes[entry].properties.items()
        for one in schema.get("anyOf", [schema])
        if one.get("type") == "string" and "pattern" not in one
    }
    assert free == {
        ("BackupAndRestore", "backup_dir"),  # never made
        ("ModelCheckpoint", "filepath"),  # a Template
        ("ModelCheckpoint", "monitor"),
        ("EarlyStopping", "monitor"),
        ("ReduceLROnPlateau", "monitor"),
    }


@pytest.mark.parametrize(("kind", "name"), CLASSES)
def test_defaults_are_values_that_a_job_may_give(kind: str, name: str) -> None:
    for argument, schema in catalogue.kind(kind).classes[name].properties.items():
        if "default" in schema and (kind, argument) != ("applications", "name"):
            report = Report()
            check_value(schema["default"], schema, Pointer(report))
            assert report.faults == [], argument


@pytest.mark.parametrize("name", catalogue.kind("applications").classes)
def test_architectures_take_no_path_for_their_weights(name: str) -> None:
    weights = catalogue.kind("applications").classes[name].properties["weights"]
    assert weights["anyOf"] == [{"enum": ["imagenet"]}, {"type": "null"}]
