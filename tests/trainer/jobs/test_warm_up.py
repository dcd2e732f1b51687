"""A job in a child that has warmed up gives the same numbers, names and files as in a fresh one, to the last bit."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from workers.shared.protocol import WarmedUp, WarmUp

ROOT = Path(__file__).parents[3]


def layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"layers": [layer("Input", shape=[8, 8]), *layers]}}


OUTPUT = layer("Dense", units=10, activation="softmax")
CONVOLUTION = sequential(
    layer("Reshape", target_shape=[8, 8, 1]),
    layer("RandomFlip"),
    layer("RandomRotation", factor=0.1),
    layer("Conv2D", filters=4, kernel_size=3, activation="relu"),
    layer("BatchNormalization"),
    layer("Flatten"),
    layer("Dropout", rate=0.3),
    OUTPUT,
)
NOISE = sequential(
    layer("Flatten"),
    layer("Dense", units=8, kernel_initializer=layer("RandomNormal", seed=3)),
    layer("GaussianNoise", stddev=0.1, seed=5),
    layer("AlphaDropout", rate=0.1),
    OUTPUT,
)
JOBS: dict[str, dict[str, Any]] = {
    "seeded by the job": {"model": CONVOLUTION},
    "shuffled": {"model": CONVOLUTION, "fit": {"epochs": 2, "batch_size": 64, "shuffle": True}},
    "seeds of layers": {"model": NOISE},
    "recurrent": {"model": sequential(layer("LSTM", units=4, dropout=0.2, recurrent_dropout=0.2), OUTPUT)},
    "deterministic": {"model": CONVOLUTION, "deterministic": True},
    "validated": {"model": NOISE, "fit": {"epochs": 2, "batch_size": 64, "validation_split": 0.2}},
    "mixed precision": {
        "model": CONVOLUTION,
        "compile": {
            "optimizer": "rmsprop",
            "loss": "sparse_categorical_crossentropy",
            "dtype_policy": "mixed_bfloat16",
        },
    },
}


def whole_model(trained: Any) -> dict[str, bytes]:
    """Return the contents of the last whole model: its configuration, with all names, and its weights."""
    with ZipFile(trained.path_of("whole.keras")) as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if name != "metadata.json"}  # has the time
    # Python's id of an object, which differs between two fresh processes as well.
    contents["config.json"] = re.sub(rb'"shared_object_id": \d+', b"", contents["config.json"])
    return contents


@pytest.mark.parametrize("name", JOBS)
def test_a_warm_child_trains_as_a_fresh_one(
    name: str, make_spec: Callable[..., dict[str, Any]], train: Callable[..., Any]
) -> None:
    spec = make_spec(**JOBS[name], callbacks=[layer("ModelCheckpoint", filepath="whole.keras")])
    cold, warm = train(spec), train(spec, warm_up=WarmUp(gpus=[], cpu_devices=1, threads=0))
    assert cold.outcome.reason == "completed"
    assert isinstance(warm.events[0], WarmedUp)
    assert warm.outcome == cold.outcome
    assert warm.history == cold.history
    assert whole_model(warm) == whole_model(cold)
    assert without_times(warm.lines) == without_times(cold.lines)


def without_times(lines: list[str]) -> list[str]:
    return [re.sub(r"\d+m?s", "", line) for line in lines]


def test_two_logical_processors_are_as_in_a_fresh_child(
    make_spec: Callable[..., dict[str, Any]], train: Callable[..., Any]
) -> None:
    spec, devices = make_spec(**JOBS["seeds of layers"]), {"cpu_devices": 2, "threads": 1}
    cold, warm = train(spec, **devices), train(spec, warm_up=WarmUp(gpus=[], **devices), **devices)
    assert cold.outcome.reason == "completed"
    assert warm.history == cold.history


def test_only_caches_differ_after_the_warm_up() -> None:
    """If Keras or TensorFlow get new state, this fails: decide whether it can change a job, and reset it if so."""
    completed = subprocess.run(
        [sys.executable, "-m", "tests.trainer.jobs.state_after_warm_up"], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stderr
    state = json.loads(completed.stdout)
    assert state["random_before"] == state["random_after"]
    assert state["global_before"] == state["global_after"]
    assert set(state["changed"]) <= CACHES, sorted(set(state["changed"]) - CACHES)


CACHES = {
    # Keras's trackers are new objects; what they hold is compared above.
    "keras.src.backend.common.global_state.GLOBAL_SETTINGS_TRACKER",
    "keras.src.backend.common.global_state.GLOBAL_STATE_TRACKER",
    # Every job has this patched.
    "keras.src.trainers.data_adapters.array_data_adapter.ArrayDataAdapter:get_tf_dataset",
    # The runtime. Each job sets its seeds.
    "tensorflow.python.eager.context._context",
    # What is looked up there does not depend on the model that was first.
    "tensorflow.python.eager.backprop._op_attr_type_cache",
    "tensorflow.python.eager.context._device_parsing_cache",
    "tensorflow.python.eager.context._tensor_caches_map",
    "tensorflow.python.eager.polymorphic_function.atomic_function.RUNTIME_FUNCTION_REFS",
    "tensorflow.python.framework.device_spec._COMPONENTS_TO_STRING_CACHE",
    "tensorflow.python.framework.device_spec._STRING_TO_COMPONENTS_CACHE",
    "tensorflow.python.framework.op_def_registry._cache",
    "tensorflow.python.framework.tensor_conversion_registry._tensor_conversion_func_cache",
    "tensorflow.python.util.tf_stack.StackTraceFilter:_stack_dict",
    "tensorflow.python.util.tf_stack.StackTraceMapper:_stack_dict",
    "tensorflow.python.util.tf_stack._source_filter_stacks",
    "tensorflow.python.util.tf_stack._source_mapper_stacks",
}
