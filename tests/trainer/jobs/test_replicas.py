"""Training on several devices: logical CPUs, on which TensorFlow runs real replicas."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.reports import EpochEnded
from fitqueue.states import Reason
from workers.shared.protocol import Stop

SAMPLES = 256


@pytest.fixture(scope="module")
def even_dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Callable[[str], DatasetInfo]]:
    """Return the path of a data set that splits into full batches, and a function that finds it for the parser."""
    random = np.random.default_rng(1)
    arrays = {"x": random.random((SAMPLES, 8, 8), dtype="float32"), "y": random.integers(0, 10, SAMPLES)}
    path = tmp_path_factory.mktemp("data") / "even.npz"
    np.savez(path, **arrays)
    infos = {name: ArrayInfo(array.shape, str(array.dtype)) for name, array in arrays.items()}
    return str(path), lambda name: DatasetInfo(name, infos)


@pytest.fixture(scope="module")
def make_even_spec(make_spec: Callable[..., Any], even_dataset: Any) -> Callable[..., dict[str, Any]]:
    """Return a function that makes the spec of a job on `even_dataset`."""

    def make(batch_size: int = 32, strategy: str = "auto", **fields: Any) -> dict[str, Any]:
        return make_spec(
            even_dataset[1],
            data={"dataset": "even", "x": "x", "y": "y", "validation": {"x": "x", "y": "y"}},
            resources={"strategy": strategy},
            **{"fit": {"epochs": 4, "batch_size": batch_size, "shuffle": False}} | fields,
        )

    return make


@pytest.mark.parametrize("cpu_devices", [2, 4])
def test_replicas_compute_what_one_device_computes(
    cpu_devices: int, make_even_spec: Callable[..., Any], train: Callable[..., Any], even_dataset: Any
) -> None:
    single = train(make_even_spec(), dataset_path=even_dataset[0])
    several = train(make_even_spec(), dataset_path=even_dataset[0], cpu_devices=cpu_devices)
    assert several.outcome.reason is Reason.COMPLETED
    for name, values in single.history.items():
        assert several.history[name] == pytest.approx(values, rel=1e-5), name
    assert several.history != single.history  # the replicas add up in another order


def test_one_replica_is_equal_to_the_last_bit(
    make_even_spec: Callable[..., Any], train: Callable[..., Any], even_dataset: Any
) -> None:
    assert (
        train(make_even_spec(strategy="mirrored"), dataset_path=even_dataset[0]).history
        == train(make_even_spec(), dataset_path=even_dataset[0]).history
    )


def test_callbacks_checkpoints_and_a_stop_work_on_replicas(
    make_even_spec: Callable[..., Any], train: Callable[..., Any], even_dataset: Any
) -> None:
    callbacks = [
        {"class_name": "ReduceLROnPlateau", "config": {"monitor": "loss", "patience": 1, "min_delta": 10.0}},
        {"class_name": "EarlyStopping", "config": {"monitor": "loss", "patience": 50}},
        {"class_name": "ModelCheckpoint", "config": {"filepath": "{epoch}.keras", "monitor": "loss"}},
        {"class_name": "ModelCheckpoint", "config": {
            "filepath": "full.weights.h5", "save_weights_only": True, "include_optimizer": True, "monitor": "loss"}},
    ]  # fmt: skip
    spec = make_even_spec(callbacks=callbacks, fit={"epochs": 1000, "batch_size": 32})
    trained = train(
        spec,
        stop_at=lambda event: Stop(cause="cancel") if isinstance(event, EpochEnded) and event.epoch == 3 else None,
        dataset_path=even_dataset[0],
        cpu_devices=2,
    )
    assert trained.outcome.reason is Reason.CANCELLED_BY_USER, trained.lines
    assert trained.epochs[2].learning_rate < trained.epochs[0].learning_rate
    for name in ("1.keras", "full.weights.h5", "best", "last"):
        assert trained.path_of(name).exists()


# --- Batches of all sizes ----------------------------------------------------------------------------------------

CNN = [
    {"class_name": "Input", "config": {"shape": [8, 8]}},
    {"class_name": "Reshape", "config": {"target_shape": [8, 8, 1]}},
    {"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": [3, 3], "activation": "relu"}},
    {"class_name": "BatchNormalization", "config": {"synchronized": True}},
    {"class_name": "MaxPooling2D", "config": {}},
    {"class_name": "Flatten", "config": {}},
    {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
]
DENSE = [
    {"class_name": "Input", "config": {"shape": [8, 8]}},
    {"class_name": "Flatten", "config": {}},
    {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
]
REGULARIZED = [*DENSE[:2], {"class_name": "Dense", "config": {
    "units": 10, "activation": "softmax", "kernel_regularizer": "l2", "activity_regularizer": "l2"}}]  # fmt: skip
MASKED = [
    {"class_name": "Input", "config": {"shape": [6], "dtype": "int32"}},
    {"class_name": "Embedding", "config": {"input_dim": 20, "output_dim": 4, "mask_zero": True}},
    {"class_name": "LSTM", "config": {"units": 5, "return_sequences": True}},
    {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
]
SPARSE = {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.1}},
          "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}  # fmt: skip
ROWS = {**SPARSE, "loss": "categorical_crossentropy"}


@pytest.fixture
def compare(make_spec: Callable[..., Any], train: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Return a function that trains a job on one device and on several, and checks that the histories agree."""

    def compare(samples: int, layers: list[Any] | dict[str, Any], devices: int = 2, **fields: Any) -> Any:
        random = np.random.default_rng(1)
        arrays = {
            "x": random.random((samples, 8, 8), dtype="float32"),
            "words": random.integers(0, 20, (samples, 6)),
            "y": random.integers(0, 10, samples),
            "each": random.integers(0, 10, (samples, 6)),
            "w": random.random(samples) * 3,
            "small": random.integers(0, 10, samples).astype("uint8"),
        }
        arrays |= {f"val_{name}": array[:7] for name, array in arrays.items()}
        np.savez(tmp_path / "data.npz", **arrays)
        infos = {name: ArrayInfo(array.shape, str(array.dtype)) for name, array in arrays.items()}
        fields.setdefault("data", {"x": "x", "y": "y", "validation": {"x": "val_x", "y": "val_y"}})
        fields["data"] = {"dataset": "mine", **fields["data"]}
        model = layers if isinstance(layers, dict) else {"class_name": "Sequential", "config": {"layers": layers}}
        spec = make_spec(lambda name: DatasetInfo(name, infos), **({"model": model, "compile": SPARSE} | fields))
        single, several = (
            train(spec, dataset_path=str(tmp_path / "data.npz"), cpu_devices=count) for count in (1, devices)
        )
        assert several.outcome.reason is Reason.COMPLETED, (several.outcome, several.lines)
        assert len(several.epochs) == len(single.epochs)
        has_half_precision = spec["compile"]["dtype_policy"] != "float32"
        for name, values in single.history.items():
            assert several.history[name] == pytest.approx(values, rel=1e-2 if has_half_precision else 1e-5, abs=1e-6), (
                name
            )
        return several

    return compare


@pytest.mark.parametrize(
    ("samples", "batch_size", "devices"),
    [(33, 32, 2), (37, 8, 2), (18, 16, 3), (21, 5, 3), (5, 64, 2), (1, 4, 3), (9, 7, 3), (64, 32, 2)],
)
def test_every_sample_counts_once(samples: int, batch_size: int, devices: int, compare: Callable[..., Any]) -> None:
    """That holds for last batches of 1, for batches that do not split evenly, and for fewer samples than devices."""
    compare(samples, CNN, devices, fit={"epochs": 3, "batch_size": batch_size, "shuffle": False})


def called_layer(class_name: str, source: str, **config: Any) -> dict[str, Any]:
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": [source, 0, 0]}}
    return {"class_name": class_name, "config": config, "inbound_nodes": [{"args": [tensor], "kwargs": {}}]}


TWO_OUTPUTS = {"class_name": "Functional", "config": {
    "layers": [
        {"class_name": "InputLayer", "config": {"name": "in", "shape": [8, 8]}, "inbound_nodes": []},
        called_layer("GRU", "in", name="recurrent", units=6),
        called_layer("BatchNormalization", "recurrent", name="normal", synchronized=True),
        called_layer("Dense", "normal", name="a", units=10, activation="softmax"),
        called_layer("Dense", "recurrent", name="b", units=10, activation="softmax"),
    ],
    "input_layers": ["in", 0, 0], "output_layers": [["a", 0, 0], ["b", 0, 0]],
}}  # fmt: skip


@pytest.mark.parametrize(
    ("samples", "batch_size", "devices"), [(33, 32, 3), (33, 16, 2), (21, 5, 3), (5, 64, 2), (9, 7, 3)]
)
def test_every_sample_counts_once_for_each_output(
    samples: int, batch_size: int, devices: int, compare: Callable[..., Any]
) -> None:
    """That holds for a recurrent model with two outputs, each with its own sample weights."""
    y, weights = {"a": "y", "b": "small"}, {"b": "w"}
    compare(
        samples, TWO_OUTPUTS, devices,
        compile={**SPARSE, "metrics": {"a": ["accuracy"], "b": ["accuracy"]}, "loss_weights": 0.5},
        data={"x": "x", "y": y, "sample_weight": weights,
              "validation": {"x": "val_x", "y": {"a": "val_y", "b": "val_small"}, "sample_weight": {"b": "val_w"}}},
        fit={"epochs": 2, "batch_size": batch_size, "shuffle": False},
    )  # fmt: skip


VARIANTS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "shuffled": (DENSE, {"fit": {"epochs": 2, "batch_size": 8}}),
    "sample_weight": (DENSE, {
        "compile": {**SPARSE, "weighted_metrics": [{"class_name": "SparseCategoricalAccuracy", "config": {}}]},
        "data": {"x": "x", "y": "y", "sample_weight": "w",
                 "validation": {"x": "val_x", "y": "val_y", "sample_weight": "val_w"}}}),
    "class_weight": (DENSE, {"fit": {"epochs": 2, "batch_size": 8, "class_weight": {"0": 3.0, "4": 0.1}}}),
    "validation_split": (DENSE, {
        "data": {"x": "x", "y": "y"}, "fit": {"epochs": 2, "batch_size": 8, "validation_split": 0.3}}),
    "validation_freq": (DENSE, {"fit": {"epochs": 1, "batch_size": 8, "validation_freq": 1, "validation_steps": 1}}),
    "steps_per_epoch": (DENSE, {"fit": {"epochs": 4, "batch_size": 8, "steps_per_epoch": 2, "shuffle": False}}),
    "a loss that is a sum": (DENSE, {"compile": {**SPARSE, "loss": {
        "class_name": "SparseCategoricalCrossentropy", "config": {"reduction": "sum"}}}}),
    "a loss of the whole batch": (DENSE, {
        "compile": {**ROWS, "loss": "dice"},
        "data": {"x": "x", "y": "y", "prepare": {"y": [{"one_hot": 10}]}}}),
    "metrics of many kinds": (DENSE, {
        "compile": {**ROWS, "metrics": [
            {"class_name": "AUC", "config": {}}, {"class_name": "F1Score", "config": {"average": "macro"}}, "mse",
            {"class_name": "SensitivityAtSpecificity", "config": {"specificity": 0.5}}]},
        "data": {"x": "x", "y": "y", "prepare": {"y": [{"one_hot": 10}]}}}),
    "regularizers": (REGULARIZED, {}),
    "masks": (MASKED, {"data": {"x": "words", "y": "each"}, "compile": {
        **SPARSE, "optimizer": "adam"}}),
    "clipped gradients": (DENSE, {"compile": {**SPARSE, "optimizer": {
        "class_name": "Adam", "config": {"learning_rate": 0.01, "global_clipnorm": 0.01}}}}),
    "labels of one byte": (DENSE, {"data": {"x": "x", "y": "small"}}),
    "half precision": (DENSE, {"compile": {**SPARSE, "dtype_policy": "mixed_float16"}}),
    "decayed weights": (DENSE, {"compile": {**SPARSE, "optimizer": {"class_name": "AdamW", "config": {}}}}),
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_computes_what_one_device_computes(variant: str, compare: Callable[..., Any]) -> None:
    layers, fields = VARIANTS[variant]
    assert compare(33, layers, **({"fit": {"epochs": 2, "batch_size": 8, "shuffle": False}} | fields)).lines


def test_options_that_keras_does_not_support_on_replicas_are_left_out(compare: Callable[..., Any]) -> None:
    several = compare(33, DENSE, compile={**SPARSE, "steps_per_execution": 3})
    assert several.lines[0] == (
        "Keras supports neither steps_per_execution nor jit_compile on several devices: they are left out."
    )


def test_a_job_that_replicas_cannot_train_trains_on_one_device(
    make_even_spec: Callable[..., Any], train: Callable[..., Any], even_dataset: Any
) -> None:
    optimizer = {"class_name": "Adam", "config": {"gradient_accumulation_steps": 2}}
    spec = make_even_spec(compile={**SPARSE, "optimizer": optimizer})
    single, several = (train(spec, dataset_path=even_dataset[0], cpu_devices=count) for count in (1, 2))
    assert several.history == single.history
    assert several.lines[0] == ("Keras cannot accumulate gradients on several devices: the job trains on one device.")


@pytest.mark.parametrize(
    "optimizer",
    [
        {"class_name": "AdamW", "config": {"gradient_accumulation_steps": 2}},
        {"class_name": "Adam", "config": {"use_ema": True, "ema_overwrite_frequency": 3}},
    ],
    ids=["accumulated gradients", "overwritten averages"],
)
@pytest.mark.parametrize("cpu_devices", [1, 2])
def test_such_a_job_ignores_the_mirrored_strategy(
    cpu_devices: int,
    optimizer: dict[str, Any],
    make_even_spec: Callable[..., Any],
    train: Callable[..., Any],
    even_dataset: Any,
) -> None:
    """Keras asks for the number of replicas inside a condition, which fails for one replica as well."""
    spec = make_even_spec(strategy="mirrored", compile={**SPARSE, "optimizer": optimizer})
    trained = train(spec, dataset_path=even_dataset[0], cpu_devices=cpu_devices)
    assert trained.outcome.reason is Reason.COMPLETED, (trained.outcome, trained.lines)
    assert trained.lines[0].endswith("the job trains on one device.")
