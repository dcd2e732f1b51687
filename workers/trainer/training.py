"""One training, from loading the data to the last checkpoint: what a plain Keras script does, in the same order.

Between the steps of that script, messages go to the worker. None of them changes a number: with the same seed and on
the same devices, the history is that of the script, to the last bit.
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from fitqueue.reports import Position
from fitqueue.spec import KerasObject, direction, read_job
from fitqueue.spec.checks.replication import obstacles
from fitqueue.spec.fields.logged import metrics_of
from fitqueue.states import Phase
from workers.keras_tools.adapting import Adapter, Learned, inputs_by_layer
from workers.keras_tools.callbacks import build_callback, callback_arguments
from workers.keras_tools.compiling import compile_model
from workers.keras_tools.errors import ModelBuildError
from workers.keras_tools.models import build_model
from workers.keras_tools.npz import DataError
from workers.keras_tools.stored_weights import read_stored
from workers.keras_tools.training_state import fill_optimizer, fill_states
from workers.keras_tools.weights import WeightsMismatch, fill
from workers.shared.protocol import Ended, PhaseChanged, Resumed, Start, Stopped
from workers.trainer import feeding, outcome, strategy
from workers.trainer.artifacts import WRITING_CALLBACKS, Artifacts
from workers.trainer.autotuning import turn_off_autotuning
from workers.trainer.building import create_variables_early
from workers.trainer.callbacks import BestCheckpoint, LastCheckpoint, ModelCheckpoint, SwapEMAWeights, make_scheduler
from workers.trainer.checkpoint_collector import CheckpointCollector
from workers.trainer.checkpoint_writer import CheckpointWriter
from workers.trainer.checkpoints import CheckpointFiles
from workers.trainer.control import Control, StopRequested
from workers.trainer.data import Data, load
from workers.trainer.fingerprint import differences, take_fingerprint
from workers.trainer.non_finite import with_cause
from workers.trainer.reporting import Emit, Reporting
from workers.trainer.resuming import Snapshots, resume_at
from workers.trainer.scalar_logs import ScalarLogs
from workers.trainer.shadow_model import make_shadow_model
from workers.trainer.shuffling import shuffled
from workers.trainer.snapshot import Snapshot, for_extension, read_learned, read_snapshot


class Training:
    """The training of one job. Call `run` once, in a fresh process: it sets up devices and random generators."""

    def __init__(self, start: Start, control: Control, emit: Emit) -> None:
        self.fit_was_entered = False
        """Whether Keras's `fit` was called."""
        self._spec = read_job(start.spec)
        self._start = start
        self._control = control
        self._emit = emit
        scheduled = isinstance(self._spec.compile.optimizer.config.get("learning_rate"), dict)
        self._reporting = Reporting(emit, control, scheduled=scheduled)
        self._artifacts = Artifacts(Path(start.work_dir), emit, start.max_artifact_bytes)
        self._snapshots: Snapshots | None = None
        self._data: Data | None = None
        self._learned: Learned = {}
        """What the layers with `adapt` have learned."""

    @property
    def terminates_on_nan(self) -> bool:
        """Whether the job has a TerminateOnNaN."""
        return any(callback.class_name == "TerminateOnNaN" for callback in self._spec.callbacks)

    def run(self) -> Ended | Stopped:
        """Train, and return the outcome. If the job cannot be trained, this raises what `outcome.of_error` explains."""
        try:
            return self._run()
        except StopRequested as request:
            return outcome.of_stop(request.stop, None)

    def _run(self) -> Ended | Stopped:
        self._enter(Phase.LOADING_DATA)
        devices = strategy.set_up_devices(self._start)
        turn_off_autotuning()
        keras.utils.set_random_seed(self._spec.seed)
        if self._spec.deterministic:
            tf.config.experimental.enable_op_determinism()
        data = self._data = self._load_data()
        self._enter(Phase.BUILDING)
        chosen = self._choose_strategy(devices)
        model = self._build_model(chosen, data)
        collector = self._make_collector(model)
        fit_arguments = self._fit_arguments(model, chosen, data)
        self._enter(Phase.TRAINING)
        self.fit_was_entered = True
        try:
            result = self._train(model, fit_arguments, collector)
            self._save_last(collector, has_ended=isinstance(result, Ended))
            self._artifacts.report(fit_is_complete=self._reporting.fit_is_complete)
        except BaseException:
            with suppress(Exception):  # the first error is the one to report; what can still be saved is saved
                collector.close()
            raise
        return result

    def _enter(self, phase: Phase) -> None:
        self._control.check()
        self._emit(PhaseChanged(phase=phase))

    def explain(self, ended: Ended) -> Ended:
        """Return the outcome with what only the data can explain."""
        return with_cause(ended, self._spec.data, self._data)

    # --- The model and its data ---------------------------------------------------------------------------------------

    def _load_data(self) -> Data:
        data = load(self._spec.data, Path(self._start.dataset_path) if self._start.dataset_path else None)
        if self._spec.data.shuffle_split and self._spec.fit.validation_split:
            assert self._spec.seed is not None  # the parser draws one
            data = shuffled(data, self._spec.seed)
        return data

    def _choose_strategy(self, devices: list[str]) -> tf.distribute.Strategy | None:
        requested = self._spec.resources.strategy
        obstacle = next(obstacles(self._spec.model, self._spec.compile.optimizer), None)
        if obstacle is not None and (len(devices) > 1 or requested == "mirrored"):
            # MirroredStrategy on a single device is no better: Keras asks for the number of replicas inside a
            # condition, and fails.
            _log(f"{obstacle.reason}: the job trains on one device.")
            return None
        return strategy.make_strategy(devices, requested)

    def _build_model(self, chosen: tf.distribute.Strategy | None, data: Data) -> keras.Model:
        compiled = self._spec.compile
        if strategy.is_replicated(chosen) and compiled.single_device_options:
            _log("Keras supports neither steps_per_execution nor jit_compile on several devices: they are left out.")
            compiled = compiled.model_copy(update={"steps_per_execution": 1, "jit_compile": False})
        keras.config.set_dtype_policy(compiled.dtype_policy)
        learned = read_learned(Path(self._start.snapshot)) if self._start.snapshot is not None else {}
        inputs = inputs_by_layer(self._spec.model, feeding.trained_inputs(data, self._spec.fit))
        adapter = Adapter(inputs, learned)
        with strategy.scope(chosen):
            model = build_model(self._spec.model, pretrained=not self._is_resumed, prepare=adapter.prepare)
            compile_model(model, compiled)
            self._load_initial_weights(model)
        self._learned = adapter.learned()
        return model

    @property
    def _is_resumed(self) -> bool:
        """Whether a snapshot replaces all weights."""
        return self._start.snapshot is not None

    def _load_initial_weights(self, model: keras.Model) -> None:
        initial, path = self._spec.initial_weights, self._start.initial_weights
        if initial is None or self._is_resumed:
            return
        pointer, name = f"/initial_weights/{initial.source}", initial.job or initial.dataset
        if path is None:
            raise ModelBuildError(pointer, f"The weights of the {initial.source} {name} no longer exist.")
        try:
            stored = read_stored(Path(path), with_optimizer=initial.optimizer)
            filled = fill(model, stored.weights, by_name=initial.by_name, skip_mismatch=initial.skip_mismatch)
            if initial.optimizer:
                fill_optimizer(model, stored.state)
            if initial.states:
                fill_states(model, stored.state)
        except (WeightsMismatch, DataError) as error:
            raise ModelBuildError(
                pointer, f"The weights of the {initial.source} {name} cannot be used: {error}"
            ) from error
        _log(str(filled))

    def _fit_arguments(self, model: keras.Model, chosen: tf.distribute.Strategy | None, data: Data) -> dict[str, Any]:
        data = feeding.arrange_targets(model, feeding.with_class_weights(model, data, self._spec))
        if strategy.is_replicated(chosen):
            return feeding.replicated_fit_arguments(model, chosen, data, self._spec.fit)
        if chosen is None:
            create_variables_early(model)
        return feeding.fit_arguments(data, self._spec.fit)

    # --- Training -----------------------------------------------------------------------------------------------------

    def _train(self, model: keras.Model, arguments: dict[str, Any], collector: CheckpointCollector) -> Ended | Stopped:
        try:
            self._fit(model, arguments, collector)
        except StopRequested as request:
            if self._snapshots is not None:
                self._snapshots.take_last()
            return outcome.of_stop(request.stop, self._reporting.position)
        return outcome.of_training(
            self._reporting.epoch, self._spec.fit.epochs, self._reporting.logs, collector.nan_weights
        )

    def _fit(self, model: keras.Model, arguments: dict[str, Any], collector: CheckpointCollector) -> None:
        fit = self._spec.fit
        callbacks = self._make_callbacks(model, collector)
        fingerprint = take_fingerprint(deterministic=self._spec.deterministic)
        restored = self._restore(model, fingerprint)
        self._snapshots = self._make_snapshots(callbacks, collector, fingerprint, restored)
        initial_epoch = restored.position.epoch if restored is not None else 0
        # If a callback had ended the training, no epoch is left, even if not all were trained.
        epochs = initial_epoch if restored is not None and restored.stop_training else fit.epochs
        model.fit(
            **arguments,
            initial_epoch=initial_epoch,
            epochs=epochs,
            verbose=fit.verbose,
            steps_per_epoch=fit.steps_per_epoch,
            validation_steps=fit.validation_steps,
            validation_freq=fit.validation_freq,
            callbacks=[ScalarLogs(), *callbacks, self._snapshots],
        )

    def _restore(self, model: keras.Model, fingerprint: dict[str, str]) -> Snapshot | None:
        """Return the snapshot to resume from, if there is one, and make the next `fit` begin there."""
        if self._start.snapshot is None:
            return None
        snapshot = read_snapshot(Path(self._start.snapshot))
        if self._start.extended:
            snapshot = for_extension(snapshot)
        self._emit(Resumed(position=snapshot.position, differences=differences(fingerprint, snapshot.fingerprint)))
        self._artifacts.restore(snapshot.files)
        resume_at(snapshot.position, model)
        return snapshot

    def _save_last(self, collector: CheckpointCollector, *, has_ended: bool) -> None:
        self._emit(PhaseChanged(phase=Phase.SAVING))
        position, logs = self._reporting.position, self._reporting.logs_at_position
        if position > Position(0):
            collector.commit_last(position, logs)
        collector.close()
        if self._spec.save_optimizer and has_ended and position > Position(0):
            collector.save_with_optimizer(position, logs)

    # --- Callbacks and checkpoints ------------------------------------------------------------------------------------

    def _make_callbacks(self, model: keras.Model, collector: CheckpointCollector) -> list[keras.callbacks.Callback]:
        """Return the callbacks of the job, then our own. An epoch is reported before its checkpoints."""
        callbacks = [self._make_callback(callback, model, collector) for callback in self._spec.callbacks]
        each_batch = any(getattr(callback, "save_freq", "epoch") != "epoch" for callback in callbacks)
        return [
            *callbacks,
            self._reporting,
            BestCheckpoint(collector, *self._best_monitor()),
            LastCheckpoint(collector, each_batch=each_batch),
        ]

    def _make_callback(
        self, callback: KerasObject, model: keras.Model, collector: CheckpointCollector
    ) -> keras.callbacks.Callback:
        if callback.class_name in WRITING_CALLBACKS:
            return self._artifacts.make_callback(callback)
        if callback.class_name == "LearningRateScheduler":
            return make_scheduler(callback, model)
        if callback.class_name == "SwapEMAWeights":
            return SwapEMAWeights(**callback_arguments(callback))
        if callback.class_name != "ModelCheckpoint":
            return build_callback(callback)
        return ModelCheckpoint(
            **callback_arguments(callback),
            collector=collector,
            period=callback.config["period"],
            include_optimizer=callback.config["include_optimizer"],
        )

    def _best_monitor(self) -> tuple[str, str]:
        """Return the monitor and mode for `best`: those of the first ModelCheckpoint, or else the loss."""
        checkpoint = next(
            (callback for callback in self._spec.callbacks if callback.class_name == "ModelCheckpoint"), None
        )
        if checkpoint is not None:
            monitor, mode = checkpoint.config["monitor"], checkpoint.config["mode"]
            metrics = metrics_of(self._spec.compile, self._spec.model)
            has_direction = mode != "auto" or direction(monitor, metrics) is not None
            if has_direction and monitor in self._spec.logged_names:
                return monitor, mode
        return ("val_loss" if self._spec.is_validated else "loss"), "auto"

    def _make_collector(self, model: keras.Model) -> CheckpointCollector:
        files = CheckpointFiles(Path(self._start.work_dir), self._emit, self._best_monitor()[0])

        def make_writer() -> CheckpointWriter:
            prepare = Adapter({}, self._learned).prepare
            shadow_model = make_shadow_model(
                lambda: build_model(self._spec.model, pretrained=False, prepare=prepare), model
            )
            return CheckpointWriter(shadow_model, files)

        return CheckpointCollector(model, make_writer, files)

    def _make_snapshots(
        self,
        callbacks: list[keras.callbacks.Callback],
        collector: CheckpointCollector,
        fingerprint: dict[str, str],
        restored: Snapshot | None,
    ) -> Snapshots:
        seconds = self._start.snapshot_seconds
        return Snapshots(
            callbacks,
            self._artifacts.read_files,
            lambda snapshot: collector.submit_snapshot(
                replace(snapshot, learned=self._learned), can_be_superseded=seconds > 0
            ),
            epochs=self._spec.fit.epochs,
            seconds=seconds,
            fingerprint=fingerprint,
            restored=restored,
        )


def _log(text: str) -> None:
    """Print a line: the job's log is what this process prints."""
    print(text, flush=True)  # noqa: T201
