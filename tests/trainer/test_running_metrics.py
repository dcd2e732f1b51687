"""The metrics of the running epoch: those of Keras's own bar at the same step, read without changing a number."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from fitqueue.reports import EpochEnded, Message
from workers.shared.protocol import Progress
from workers.trainer.reporting import POINT_SECONDS, PROGRESS_SECONDS, Reporting
from workers.trainer.running_metrics import READING_SHARE
from workers.trainer.scalar_logs import ScalarLogs

RANDOM = np.random.default_rng(1)
X = RANDOM.random((96, 6), dtype="float32")
Y = keras.utils.to_categorical(RANDOM.integers(0, 3, 96), 3)
BATCHES = 12


class Clock:
    """A clock that stands still unless something takes time."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class TakesTime(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Makes each step take a while. It comes before the reporting."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self._clock, self._seconds = clock, seconds

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch > 0:
            self._clock.now += self._seconds


class KerasBar(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Notes what Keras's own bar shows: after which step of which epoch, which values."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[tuple[int, int], dict[str, float]] = {}
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.shown[self._epoch, batch + 1] = dict(logs)


class NeverStops:
    def check(self) -> None:
        pass


class SlowMean(keras.metrics.Mean):  # type: ignore[misc] # Keras has no types
    """A metric that takes three seconds to read."""

    clock: Clock

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(keras.ops.abs(y_true - y_pred))

    def result(self) -> Any:
        self.clock.now += 3.0
        return super().result()


def _layers() -> list[keras.layers.Layer]:
    return [keras.layers.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.5)]


def _single(**options: Any) -> keras.Model:
    model = keras.Sequential([*_layers(), keras.layers.Dense(3, "softmax")])
    metrics = [
        "accuracy",
        keras.metrics.AUC(name="auc"),
        keras.metrics.F1Score(),
        keras.metrics.MeanIoU(3, sparse_y_true=False, sparse_y_pred=False, name="iou"),
    ]
    model.compile("adam", "categorical_crossentropy", metrics=metrics, **options)
    return model


def _two_outputs() -> keras.Model:
    inputs, *hidden = _layers()
    values = inputs
    for layer in hidden:
        values = layer(values)
    outputs = [keras.layers.Dense(3, "softmax", name=name)(values) for name in ("left", "right")]
    model = keras.Model(inputs, outputs)
    losses = {"left": "categorical_crossentropy", "right": "mse"}
    model.compile("adam", losses, metrics={"left": ["accuracy"], "right": ["mae", keras.metrics.AUC(name="auc")]},
                  weighted_metrics={"right": ["mse"]})  # fmt: skip
    return model


def _with_added_loss() -> keras.Model:
    model = keras.Sequential([*_layers(), keras.layers.Dense(3, kernel_regularizer="l2"), keras.layers.Softmax()])
    model.compile("sgd", "kl_divergence")
    return model


MODELS: dict[str, Callable[[], keras.Model]] = {
    "single": _single,
    "several steps per execution": lambda: _single(steps_per_execution=5),
    "jit": lambda: _single(jit_compile=True),
    "two outputs": _two_outputs,
    "added loss": _with_added_loss,
}


def _fit(model: keras.Model, callbacks: list[keras.callbacks.Callback], epochs: int = 2) -> dict[str, list[float]]:
    y = {"left": Y, "right": Y} if len(model.outputs) == 2 else Y
    history: dict[str, list[float]] = model.fit(
        X, y, batch_size=8, epochs=epochs, verbose=0, validation_split=0.0, callbacks=[ScalarLogs(), *callbacks]
    ).history
    return history


def _reporting(emitted: list[Message], clock: Clock) -> Reporting:
    return Reporting(emitted.append, NeverStops(), scheduled=False, clock=clock)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_they_are_what_keras_shows_at_this_step_and_reading_them_changes_nothing(
    make: Callable[[], keras.Model],
) -> None:
    keras.utils.set_random_seed(3)
    expected = _fit(make(), [])
    keras.utils.set_random_seed(3)
    model, clock, bar = make(), Clock(), KerasBar()
    emitted: list[Message] = []
    assert _fit(model, [TakesTime(clock, PROGRESS_SECONDS), _reporting(emitted, clock), bar]) == expected
    reported = [message for message in emitted if isinstance(message, Progress)]
    executions = math.ceil(BATCHES / model.steps_per_execution)
    assert len(reported) == 2 * (executions - 1)
    for progress in reported:
        shown = bar.shown[progress.position.epoch, progress.position.step]
        assert list(progress.metrics) == list(shown)
        assert progress.metrics == pytest.approx(shown, rel=1e-6)
    assert len({progress.metrics["loss"] for progress in reported}) == len(reported)


def test_a_metric_that_is_slow_to_read_is_read_rarely() -> None:
    clock = SlowMean.clock = Clock()
    model = keras.Sequential([*_layers(), keras.layers.Dense(3)])
    model.compile("sgd", "mse", metrics=[SlowMean(name="slow")])
    emitted: list[Message] = []
    _fit(model, [TakesTime(clock, 20.0), _reporting(emitted, clock)], epochs=3)
    progress = [message for message in emitted if isinstance(message, Progress)]
    assert len(progress) == 3 * (BATCHES - 1), "the loss is read all the same"
    assert len({message.metrics["loss"] for message in progress}) == len(progress)
    points = [message.position for message in progress if message.is_point]
    seconds = [20.0 * (position.epoch * (BATCHES - 1) + position.step) for position in points]
    assert len(points) == 3
    assert all(after - before >= 3.0 / READING_SHARE for before, after in itertools.pairwise(seconds)), seconds
    by_epoch = [[m.metrics.get("slow") for m in progress if m.position.epoch == epoch] for epoch in range(3)]
    for position in points:  # the last reading stays until the end of its epoch
        rest = by_epoch[position.epoch][position.step - 1 :]
        assert len(set(rest)) <= 2
        assert rest[0] is not None
    assert None in by_epoch[1], "nothing of an epoch is shown as that of the next"


@pytest.mark.parametrize(
    ("step_seconds", "steps_of_points"),
    [(0.1, []), (0.5, [10]), (1.0, [5, 10]), (4.0, [2, 4, 6, 8, 10]), (7.0, list(range(1, BATCHES)))],
)
def test_an_epoch_has_a_point_each_five_seconds(step_seconds: float, steps_of_points: list[int]) -> None:
    clock = Clock()
    model = _with_added_loss()
    emitted: list[Message] = []
    _fit(model, [TakesTime(clock, step_seconds), _reporting(emitted, clock)], epochs=2)
    points = [message for message in emitted if isinstance(message, Progress) and message.is_point]
    assert [(point.position.epoch, point.position.step) for point in points] == [
        (epoch, step) for epoch in (0, 1) for step in steps_of_points
    ]
    assert POINT_SECONDS == 5.0


def test_a_loss_that_is_not_finite_is_reported_as_it_is() -> None:
    model, clock = _with_added_loss(), Clock()
    model.layers[-2].kernel.assign(np.full((8, 3), np.inf, "float32"))
    emitted: list[Message] = []
    _fit(model, [TakesTime(clock, PROGRESS_SECONDS), _reporting(emitted, clock)], epochs=1)
    [progress, ended] = emitted
    assert isinstance(progress, Progress)
    assert isinstance(ended, EpochEnded)
    assert not math.isfinite(progress.metrics["loss"])
    assert model.stop_training
