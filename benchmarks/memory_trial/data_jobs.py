"""Hostile jobs whose data or weights take the memory."""

from collections.abc import Iterator
from typing import Any

from benchmarks.memory_trial.making import DENSE, FLATTEN, MEAN_1D, Job, job


def data_jobs() -> Iterator[Job]:
    for dtype in ("float32", "float64", "float16", "uint8", "int64", "bool"):
        yield job(f"data of {dtype}", [DENSE], (50_000,), samples=400, dtype=dtype)
    for share in (0.1, 0.5):
        yield job(f"a validation split of {share}", [DENSE], (50_000,), samples=400, fit={"validation_split": share})
    yield job(
        "validation data", [DENSE], (50_000,), samples=300, data={"validation": {"x": "v", "y": "w"}},
        fit={"validation_steps": 2}, more={"v": ((300, 50_000), "float32"), "w": ((300, 1), "float32")},
    )  # fmt: skip
    for batch in (64, 256, 1000):
        yield job(f"a batch of {batch} large samples", [DENSE], (20_000,), samples=1000, batch=batch)
    yield job("many samples", [DENSE], (1,), samples=4_000_000, dtype="uint8", batch=4096)
    yield job(
        "many samples with a split",
        [DENSE],
        (2,),
        samples=2_000_000,
        batch=1024,
        fit={"validation_split": 0.5, "validation_steps": 1},
    )
    yield job("many samples in order", [DENSE], (1,), samples=4_000_000, batch=4096, fit={"shuffle": False})
    yield job(
        "a shuffled split",
        [DENSE],
        (50_000,),
        samples=400,
        data={"shuffle_split": True},
        fit={"validation_split": 0.25},
    )
    yield job("wide targets", [("Dense", {"units": 20_000})], (2,), samples=1000, target=((20_000,), "float32"))
    yield job(
        "sample weights", [DENSE], (2,), samples=2_000_000, batch=1024, data={"sample_weight": "s"},
        more={"s": ((2_000_000,), "float32")},
    )  # fmt: skip
    yield job(
        "class weights", [("Dense", {"units": 2, "activation": "softmax"})], (2,), samples=2_000_000, batch=1024,
        target=((), "int64"), compile={"loss": "sparse_categorical_crossentropy"},
        fit={"class_weight": {"0": 2.0, "1": 1.0}},
    )  # fmt: skip


def prepared_jobs() -> Iterator[Job]:
    for dtype in ("uint8", "int16", "float64"):
        yield job(
            f"{dtype} that is scaled",
            [DENSE],
            (50_000,),
            samples=400,
            dtype=dtype,
            data={"prepare": {"x": [{"scale": 0.5}]}},
        )
    for length in (20_000, 50_000, 200_000):
        yield job(
            f"sequences that are padded to {length}",
            [("Reshape", {"target_shape": [length // 100, 100]}), MEAN_1D, DENSE],
            (length,),
            sample=(8,), samples=40_000_000 // length, dtype="int32",
            data={"prepare": {"x": [{"pad_sequences": {"maxlen": length}}]}},
        )  # fmt: skip
    yield job(
        "sequences that are padded with a fraction", [DENSE], (50_000,), sample=(8,), samples=400, dtype="float32",
        data={"prepare": {"x": [{"pad_sequences": {"maxlen": 50_000, "value": 0.5}}]}},
    )  # fmt: skip
    for classes in (10_000, 50_000):
        yield job(
            f"one_hot of {classes}", [DENSE], (classes,), sample=(), samples=20_000_000 // classes, dtype="int32",
            data={"prepare": {"x": [{"one_hot": classes}]}},
        )  # fmt: skip
    yield job(
        "one_hot of targets", [("Dense", {"units": 10_000})], (2,), samples=2000, target=((), "int32"),
        data={"prepare": {"y": [{"one_hot": 10_000}]}},
    )  # fmt: skip
    yield job(
        "bytes as float64",
        [DENSE],
        (50_000,),
        samples=400,
        dtype="uint8",
        data={"prepare": {"x": [{"astype": "float64"}]}},
    )
    yield job(
        "bytes as int64",
        [DENSE],
        (50_000,),
        samples=400,
        dtype="uint8",
        data={"prepare": {"x": [{"astype": "int64"}]}},
    )
    steps = [{"astype": "float64"}, {"scale": 0.5}, {"offset": 1.0}, {"reshape": [250, 200]}]
    yield job(
        "several steps",
        [MEAN_1D, DENSE],
        (250, 200),
        sample=(50_000,),
        samples=400,
        dtype="uint8",
        data={"prepare": {"x": steps}},
    )


def weights_jobs() -> Iterator[Job]:
    optimizers: list[Any] = [
        *(
            "sgd",
            "adam",
            "adamw",
            "rmsprop",
            "adagrad",
            "adadelta",
            "adamax",
            "nadam",
            "ftrl",
            "lion",
            "adafactor",
            "Lamb",
        ),
        {"class_name": "Adam", "config": {"amsgrad": True}},
        {"class_name": "Adam", "config": {"use_ema": True}},
        {"class_name": "Adam", "config": {"gradient_accumulation_steps": 2}},
        {"class_name": "SGD", "config": {"momentum": 0.9}},
        {"class_name": "RMSprop", "config": {"centered": True, "momentum": 0.5}},
    ]
    for optimizer in optimizers:
        label = optimizer if isinstance(optimizer, str) else f"{optimizer['class_name']} {optimizer['config']}"
        yield job(
            f"weights with {label}", [("Dense", {"units": 2500}), DENSE], (2500,), compile={"optimizer": optimizer}
        )
    yield job(
        "an Embedding",
        [("Embedding", {"input_dim": 200_000, "output_dim": 50}), FLATTEN, DENSE],
        (4,),
        dtype="int32",
        compile={"optimizer": "adam"},
    )
    yield job("frozen weights", [("Dense", {"units": 2500, "trainable": False}), DENSE], (2500,))
    for initializer in ("orthogonal", "he_normal", "zeros"):
        yield job(
            f"weights that are {initializer}",
            [("Dense", {"units": 1500, "kernel_initializer": initializer}), DENSE],
            (1500,),
        )
    for name, callback in {
        "the best weights": {
            "class_name": "EarlyStopping",
            "config": {"restore_best_weights": True, "monitor": "loss"},
        },
        "a checkpoint of each epoch": {"class_name": "ModelCheckpoint", "config": {"filepath": "{epoch}.keras"}},
    }.items():
        yield job(name, [("Dense", {"units": 2500}), DENSE], (2500,), callbacks=[callback])
    for policy in ("mixed_float16", "mixed_bfloat16", "float64"):
        yield job(
            f"weights under {policy}", [("Dense", {"units": 2500}), DENSE], (2500,), compile={"dtype_policy": policy}
        )
    for classes in (3000, 5000):
        metric = {"class_name": "MeanIoU", "config": {"num_classes": classes}}
        yield job(f"a MeanIoU of {classes} classes", [DENSE], (4,), compile={"metrics": [metric]})
