"""Check the parts of a job against each other, as far as this is possible without Keras."""

from collections.abc import Callable, Sequence

from fitqueue.datasets import BUILTIN, DatasetInfo
from fitqueue.spec.checks import (
    callbacks,
    class_weights,
    labels,
    named_outputs,
    pixels,
    shapes,
    splits,
    stored_values,
    tensorboards,
    timing,
)
from fitqueue.spec.fields.logged import MAX_LOGGED_NAME, batch_names, flat_metrics, output_names
from fitqueue.spec.fields.partial import PartialJob
from fitqueue.spec.fields.training import FitSpec, KerasObject
from fitqueue.spec.findings import FaultCode, Pointer, quoted

FindDataset = Callable[[str], DatasetInfo | None]


def cross_check(
    partial: PartialJob, has_validation_data: bool, find_dataset: FindDataset, pointer: Pointer
) -> KerasObject | None:
    """Check the valid parts of a job against each other.

    Args:
        has_validation_data: whether the job names validation data, be it valid or not.
        find_dataset: looks up a data set that is not built in.

    Returns:
        The model, with an InputLayer of the data's shape if it did not give the shape of its input.
    """
    model = partial.model
    if model is not None:
        _check_io_names(partial, model, pointer)
    model = _check_data(partial, find_dataset, pointer)
    if partial.data is not None and partial.fit is not None:
        shapes.check_validation(partial.data, partial.fit, has_validation_data, pointer / "fit")
    _check_callbacks(partial, model, has_validation_data, pointer)
    if partial.compile.optimizer is not None:
        timing.check_learning_rate(partial.compile.optimizer, pointer / "compile" / "optimizer")
    return model


def _check_io_names(partial: PartialJob, model: KerasObject, pointer: Pointer) -> None:
    io_names = named_outputs.io_names(model)
    if partial.data is not None:
        named_outputs.check_arrays(partial.data, io_names, pointer / "data")
    named_outputs.check_compile(partial.compile, io_names, pointer / "compile")
    if partial.fit is not None:
        class_weights.check_outputs(partial.fit.class_weight, io_names.outputs, pointer / "fit" / "class_weight")


def _check_data(partial: PartialJob, find_dataset: FindDataset, pointer: Pointer) -> KerasObject | None:
    """Check the data, and return the model with an input that matches it."""
    if partial.data is None:
        return partial.model
    info = _find_dataset(partial.data.dataset, find_dataset, pointer / "data" / "dataset")
    if info is None:
        return partial.model
    shape = shapes.check_data(partial.data, info, pointer / "data")
    stored_values.check_stored_values(partial.data, info, pointer / "data")
    splits.check_split(partial, partial.data, info, pointer)
    pixels.check_pixels(partial.model, partial.data, info, pointer / "data")
    if partial.model is None or shape is None:
        return partial.model
    return shapes.match_input_shape(partial.model, shape, pointer / "model")


def _find_dataset(name: str, find_dataset: FindDataset, pointer: Pointer) -> DatasetInfo | None:
    info = BUILTIN[name].info if name in BUILTIN else find_dataset(name)
    if info is None:
        shapes.report_unknown_dataset(name, pointer)
    return info


def _check_callbacks(
    partial: PartialJob, model: KerasObject | None, has_validation_data: bool, job_pointer: Pointer
) -> None:
    pointer = job_pointer / "callbacks"
    loss, metrics = partial.compile.complete_loss, partial.compile.named_metrics()
    if partial.compile.optimizer is not None:
        callbacks.check_optimizer(partial.callbacks, partial.compile.optimizer, pointer)
    if metrics is not None and loss is not None and model is not None:
        flat = flat_metrics(metrics["metrics"], metrics["weighted_metrics"], loss, output_names(model))
        not_validated = _why_not_validated(has_validation_data, partial.fit)
        callbacks.check_logged_names(partial.callbacks, flat, not_validated, pointer)
        _check_name_lengths(batch_names(flat), job_pointer / "compile" / "metrics")
        labels.check_logged_values(flat, validated=not_validated is None, pointer=job_pointer / "compile" / "metrics")
    if partial.fit is not None:
        callbacks.check_validation_fields(partial.callbacks, partial.fit.validation_freq, pointer)
    callbacks.check_checkpoints(partial.callbacks, pointer)
    labels.check_artifacts(partial.callbacks, pointer)
    tensorboards.check_tensorboards(partial.callbacks, pointer)
    timing.check_timing(partial.callbacks, partial.fit, partial.compile.optimizer, pointer)


def _check_name_lengths(names: Sequence[str], pointer: Pointer) -> None:
    """Report a logged name that is too long to be recorded; the names of an output and its metric are joined."""
    longest = max(names, key=len)
    if len(longest) > MAX_LOGGED_NAME:
        pointer.add_fault(
            FaultCode.OUT_OF_RANGE,
            f"Training would log a value under a name of {len(longest)} characters, {quoted(longest)}; at most "
            f"{MAX_LOGGED_NAME} are allowed.",
            received=longest,
            expected="a shorter name of the metric or of the output",
        )


def _why_not_validated(has_validation_data: bool, fit: FitSpec | None) -> str | None:
    """Return why no epoch ends with a validation; None if one does."""
    if not has_validation_data:
        return "The job has no validation data: give `data.validation` or `fit.validation_split`."
    if fit is not None and not fit.validates:
        return f"None of the {fit.epochs} epochs is validated: see `fit.validation_freq`."
    return None
