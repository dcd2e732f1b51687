"""Six kinds of short jobs, each with a result that is known to the last bit after one undisturbed training.

Together they have everything that a training can lose on its way: shuffled data, random layers, statistics, counters of
callbacks, recurrent state, files of callbacks, a schedule, averages, and gradients accumulated over epochs.
"""

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any, Final

from tests.chaos import limits, preemption, retention

Spec = dict[str, Any]

LABEL: Final = "chaos"
"""The key of a label that each job has, with its number as the value: if the answer to a POST is lost, the job can be
found by it."""


def _object(class_name: str, **config: Any) -> Spec:
    return {"class_name": class_name, "config": config}


def _sequential(*layers: Spec, batch: int | None = None) -> Spec:
    first = _object("InputLayer", batch_shape=[batch, 8, 8])
    last = [_object("Flatten"), _object("Dense", units=10, activation="softmax")]
    return _object("Sequential", layers=[first, *layers, *last])


def _compiled(optimizer: Spec) -> Spec:
    return {"optimizer": optimizer, "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}


_ADAM: Final = _object("Adam", learning_rate=0.01)
_DIGITS: Final = {"dataset": "digits", "x": "x_train", "y": "y_train", "prepare": {"x": [{"scale": 0.0625}]}}
_VALIDATED: Final = {**_DIGITS, "validation": {"x": "x_test", "y": "y_test"}}


def _fit(epochs: int, **arguments: Any) -> Spec:
    return {"epochs": epochs, "batch_size": 128, "shuffle": True, "verbose": 0, **arguments}


KINDS: Final[dict[str, Spec]] = {
    "dense": {
        "model": _sequential(),
        "compile": _compiled(_object("SGD", learning_rate=0.05, momentum=0.9)),
        "data": _DIGITS,
        "fit": _fit(12),
    },
    "random layers": {
        "model": _sequential(
            _object("GaussianNoise", stddev=0.1), _object("BatchNormalization"), _object("Dropout", rate=0.3)
        ),
        "compile": _compiled(_ADAM),
        "data": _VALIDATED,
        "fit": _fit(10),
    },
    "three callbacks": {
        "model": _sequential(_object("Dropout", rate=0.2)),
        "compile": _compiled(_ADAM),
        "data": _VALIDATED,
        "fit": _fit(60),
        "callbacks": [
            _object("EarlyStopping", monitor="val_loss", patience=3, min_delta=0.01, restore_best_weights=True),
            _object("ReduceLROnPlateau", monitor="val_loss", patience=1, min_delta=0.02, factor=0.5, cooldown=1),
            _object(
                "ModelCheckpoint", filepath="e{epoch:02d}-{val_loss:.4f}.weights.h5", monitor="val_loss",
                save_best_only=True, save_weights_only=True,
            ),
        ],
    },
    "recurrent": {
        "model": _sequential(_object("GRU", units=6, stateful=True, dropout=0.2), batch=3),
        "compile": _compiled(_ADAM),
        "data": _DIGITS,
        "fit": _fit(8, batch_size=3, shuffle=False, steps_per_epoch=25),
    },
    "files": {
        "model": _sequential(_object("Dropout", rate=0.1)),
        "compile": _compiled(_ADAM),
        "data": _DIGITS,
        "fit": _fit(8),
        "callbacks": [
            _object("ModelCheckpoint", filepath="e{epoch:02d}.weights.h5", monitor="loss", save_weights_only=True),
            _object("CSVLogger", filename="log.csv"),
        ],
    },
    "schedule and averages": {
        "model": _sequential(),
        "compile": _compiled(
            _object(
                "SGD", momentum=0.9, use_ema=True, ema_overwrite_frequency=5, gradient_accumulation_steps=5,
                learning_rate=_object("ExponentialDecay", initial_learning_rate=0.1, decay_steps=20, decay_rate=0.9),
            )
        ),
        "data": _DIGITS,
        "fit": _fit(12),
    },
}  # fmt: skip


def spec(kind: str, number: str) -> Spec:
    """Return a job of this kind, as a user submits it. It must not fail merely because it was killed often."""
    return {
        **KINDS[kind],
        **limits.project_of(number),
        **retention.fields_of(number),
        **preemption.fields_of(number),
        "name": kind,
        "labels": {LABEL: number},
        "seed": 11,
        "max_attempts": 100,
    }


def kinds(count: int) -> Iterator[str]:
    """Yield this many kinds, each in its turn."""
    return islice(cycle(KINDS), count)
