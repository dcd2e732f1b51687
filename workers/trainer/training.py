"""One training from the first byte of data to the last checkpoint: what a plain Keras script does, step by step.

Between the lines of that script stand the words to the worker, and nothing that changes a number: with the same seed
and on the same devices the history is the script's, to the last bit.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from fitqueue.reports import Position
from fitqueue.spec import KerasObject, direction, read_job
from fitqueue.spec.checks.replication import obstacles
from fitqueue.spec.logged import metrics_of
from fitqueue.states import Phase
from workers.keras_tools.build import ModelBuildError, build_callback, build_model, callback_arguments, compile_model
from workers.shared.protocol import Ended, PhaseChanged, Resumed, Start, Stopped
from workers.trainer import feeding, outcome, strategy
from workers.trainer.artifacts import WRITERS, Artifacts
from workers.trainer.callbacks import (
    BestCheckpoint,
    CheckpointCollector,
    LastCheckpoint,
    ModelCheckpoint,
    SwapEMAWeights,
    scheduler,
)
from workers.trainer.checkpoints import CheckpointFiles, Writer, make_shadow_model
from workers.trainer.control import Control, StopRequested
from workers.trainer.data import Data, load
from workers.trainer.reporting import Emit, Reporting
from workers.trainer.resuming import Snapshots, begin_at, differences, fingerprint
from workers.trainer.snapshot import Snapshot, without_end
from workers.trainer.snapshot import read as read_snapshot


class Training:
    """`run` may be called once, in a fresh process: it sets up devices and random generators for all of it."""

    def __init__(self, start: Start, control: Control, emit: Emit) -> None:
        self.began = False
        """Whether Keras's `fit` was entered."""
        self._spec = read_job(start.spec)
        self._start = start
        self._control = control
        self._emit = emit
        scheduled = isinstance(self._spec.compile.optimizer.config.get("learning_rate"), dict)
        self._reporting = Reporting(emit, control, scheduled=scheduled)
        self._artifacts = Artifacts(Path(start.work_dir), emit)
        self._snapshots: Snapshots | None = None

    @property
    def _goes_on(self) -> bool:
        """Whether all weights come from a snapshot."""
        return self._start.snapshot is not None

    @property
    def nan_watched(self) -> bool:
        return any(callback.class_name == "TerminateOnNaN" for callback in self._spec.callbacks)

    def run(self) -> Ended | Stopped:
        """Train, and tell how it ended. What cannot be trained raises: `outcome.of_error` knows the exceptions."""
        try:
            return self._run()
        except StopRequested as request:
            return outcome.of_stop(request.stop, 0, 0)

    def _run(self) -> Ended | Stopped:
        self._enter(Phase.LOADING_DATA)
        devices = strategy.set_up_devices(self._start)
        keras.utils.set_random_seed(self._spec.seed)
        if self._spec.deterministic:
            tf.config.experimental.enable_op_determinism()
        data = load(self._spec.data, Path(self._start.dataset_path) if self._start.dataset_path else None)
        self._enter(Phase.BUILDING)
        chosen = self._choose_strategy(devices)
        model = self._build(chosen)
        keeper = self._make_keeper(model)
        fed = self._feed(model, chosen, data)
        self._enter(Phase.TRAINING)
        self.began = True
        try:
            ending = self._fitted(model, fed, keeper)
            self._save_last(keeper)
            self._artifacts.announce(ended=self._reporting.ended)
        except BaseException:
            with suppress(Exception):  # the first error is the one to tell; what can be saved is saved
                keeper.close()
            raise
        return ending

    def _fitted(self, model: keras.Model, fed: dict[str, Any], keeper: CheckpointCollector) -> Ended | Stopped:
        try:
            self._fit(model, fed, keeper)
        except StopRequested as request:
            if self._snapshots is not None:
                self._snapshots.take_last()
            return outcome.of_stop(request.stop, self._reporting.epoch, self._reporting.step)
        return outcome.of_training(self._reporting.epoch, self._spec.fit.epochs, self._reporting.logs)

    def _enter(self, phase: Phase) -> None:
        self._control.check()
        self._emit(PhaseChanged(phase=phase))

    def _choose_strategy(self, devices: list[str]) -> tf.distribute.Strategy | None:
        wanted = self._spec.resources.strategy
        obstacle = next(obstacles(self._spec.model, self._spec.compile.optimizer), None)
        if obstacle is not None and (len(devices) > 1 or wanted == "mirrored"):
            # On one device too: Keras asks how many replicas there are in the middle of a condition, and fails.
            _remark(f"{obstacle.reason}: the job trains on one device.")
            return None
        return strategy.choose(devices, wanted)

    def _build(self, chosen: tf.distribute.Strategy | None) -> keras.Model:
        compiled = self._spec.compile
        if _is_replicated(chosen) and compiled.single_device_options:
            _remark("On several devices Keras takes neither steps_per_execution nor jit_compile: they are left out.")
            compiled = compiled.model_copy(update={"steps_per_execution": 1, "jit_compile": False})
        keras.config.set_dtype_policy(compiled.dtype_policy)
        with strategy.scope(chosen):
            model = build_model(self._spec.model, pretrained=not self._goes_on)
            compile_model(model, compiled)
            self._load_initial_weights(model)
        return model

    def _load_initial_weights(self, model: keras.Model) -> None:
        wanted, path = self._spec.initial_weights, self._start.initial_weights
        if wanted is None or self._goes_on:
            return
        if path is None:
            raise ModelBuildError("/initial_weights/job", f"The job {wanted.job} is gone, and its weights with it.")
        try:
            model.load_weights(path)
        except ValueError as error:
            message = f"The best weights of {wanted.job} do not fit this model: {outcome.in_words(error)}"
            raise ModelBuildError("/initial_weights/job", message) from error

    def _feed(self, model: keras.Model, chosen: tf.distribute.Strategy | None, data: Data) -> dict[str, Any]:
        data = feeding.arranged(model, data)
        if _is_replicated(chosen):
            return feeding.replicated(model, chosen, data, self._spec.fit)
        return feeding.arguments(data, self._spec.fit)

    def _make_keeper(self, model: keras.Model) -> CheckpointCollector:
        files = CheckpointFiles(Path(self._start.work_dir), self._emit, self._best_monitor()[0])
        return CheckpointCollector(
            model,
            lambda: Writer(make_shadow_model(lambda: build_model(self._spec.model, pretrained=False), model), files),
            files,
        )

    def _fit(self, model: keras.Model, fed: dict[str, Any], keeper: CheckpointCollector) -> None:
        own = [self._callback(callback, model, keeper) for callback in self._spec.callbacks]
        each_batch = any(getattr(callback, "save_freq", "epoch") != "epoch" for callback in own)
        # Reports before it keeps: a checkpoint is announced after the epoch that it is of.
        ours = [
            self._reporting,
            BestCheckpoint(keeper, *self._best_monitor()),
            LastCheckpoint(keeper, each_batch=each_batch),
        ]
        fit = self._spec.fit
        restored = self._restored(model)
        begin = restored.position.epoch if restored is not None else 0
        # A training that a callback had ended has no epoch left, though not all were trained.
        epochs = begin if restored is not None and restored.stop_training else fit.epochs
        seconds = self._start.snapshot_seconds
        self._snapshots = Snapshots(
            [*own, *ours],
            self._artifacts.files,
            lambda snapshot: keeper.keep_snapshot(snapshot, can_wait=seconds > 0),
            epochs=fit.epochs,
            seconds=seconds,
            fingerprint=fingerprint(deterministic=self._spec.deterministic),
            restored=restored,
        )
        model.fit(
            **fed,
            initial_epoch=begin,
            epochs=epochs,
            verbose=fit.verbose,
            steps_per_epoch=fit.steps_per_epoch,
            validation_steps=fit.validation_steps,
            validation_freq=fit.validation_freq,
            callbacks=[*own, *ours, self._snapshots],
        )

    def _restored(self, model: keras.Model) -> Snapshot | None:
        if self._start.snapshot is None:
            return None
        snapshot = read_snapshot(Path(self._start.snapshot))
        if self._start.extended:
            snapshot = without_end(snapshot)
        now = fingerprint(deterministic=self._spec.deterministic)
        position, changed = snapshot.position, differences(now, snapshot.fingerprint)
        self._emit(Resumed(position=position, differences=changed))
        self._artifacts.restore(snapshot.files)
        begin_at(position, model)
        return snapshot

    def _callback(
        self, callback: KerasObject, model: keras.Model, keeper: CheckpointCollector
    ) -> keras.callbacks.Callback:
        if callback.class_name in WRITERS:
            return self._artifacts.callback(callback)
        if callback.class_name == "LearningRateScheduler":
            return scheduler(callback, model)
        if callback.class_name == "SwapEMAWeights":
            return SwapEMAWeights(**callback_arguments(callback))
        if callback.class_name != "ModelCheckpoint":
            return build_callback(callback)
        return ModelCheckpoint(
            **callback_arguments(callback),
            keeper=keeper,
            period=callback.config["period"],
            include_optimizer=callback.config["include_optimizer"],
        )

    def _best_monitor(self) -> tuple[str, str]:
        """What `best` follows, and in which direction: the first ModelCheckpoint's, else the loss."""
        first = next((one for one in self._spec.callbacks if one.class_name == "ModelCheckpoint"), None)
        if first is not None:
            monitor, mode = first.config["monitor"], first.config["mode"]
            known = mode != "auto" or direction(monitor, metrics_of(self._spec.compile, self._spec.model)) is not None
            if known and monitor in self._spec.logged_names:
                return monitor, mode
        return ("val_loss" if self._spec.is_validated else "loss"), "auto"

    def _save_last(self, keeper: CheckpointCollector) -> None:
        self._emit(PhaseChanged(phase=Phase.SAVING))
        if self._reporting.position > Position(0):
            keeper.commit_last(self._reporting.position, self._reporting.logged)
        keeper.close()


def _is_replicated(chosen: tf.distribute.Strategy | None) -> bool:
    return chosen is not None and chosen.num_replicas_in_sync > 1


def _remark(text: str) -> None:
    print(text, flush=True)  # noqa: T201 -- the job's log is what this process prints
