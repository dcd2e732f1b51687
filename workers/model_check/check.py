"""The check of a job that needs Keras: its model is built, without weights, and compared with the rest of the job.

Keras itself decides: its layers compute their shapes, and its losses and metrics are called on symbols with the shapes
of the first batch. What Keras accepts although it goes wrong later is checked in `fitqueue/spec/checks`.
"""

from contextlib import suppress
from typing import Final

import keras

from fitqueue.model_check import ModelCheckRequest, ModelCheckResult
from fitqueue.spec import PartialJob
from fitqueue.spec.checks import consistency
from fitqueue.spec.findings import FaultCode, Findings, Pointer, TooManyFaults
from fitqueue.views import ModelSummary
from workers.model_check.array_values import JobArrays
from workers.model_check.built_job import Announce, BuiltJob
from workers.model_check.initial_weights import Source, check_initial_weights, source_in, source_of
from workers.model_check.inputs import check_batch_size, check_first_layer, check_input_shapes, check_input_values
from workers.model_check.memory import estimate
from workers.model_check.names import check_names
from workers.model_check.summary import summarize
from workers.model_check.targets import check_all_targets

_GIB: Final = 1024**3


def check(request: ModelCheckRequest, announce: Announce) -> ModelCheckResult:
    """Return what is wrong with the job, and the summary of its model if Keras can build it.

    Call it in a process of its own with limits, because building a model can take any time and any memory.

    Args:
        announce: called with the pointer of each part before Keras builds it.

    Raises:
        ModelBuildError: the model cannot be built without weights.
    """
    spec = PartialJob.model_validate(request.spec)
    findings = Findings()
    summary = None
    with suppress(TooManyFaults):
        pointer = Pointer(findings)
        built = BuiltJob(spec, request.initial_model, pointer, announce)
        arrays = JobArrays(spec, request)
        consistency.check_fit(spec, arrays.x, pointer)
        consistency.check_devices(spec, pointer)
        if built.model is not None:
            metrics = [metric.metric for metric in built.metrics]
            summary = summarize(built.model, estimate(built.model, metrics, spec, arrays, request.arrays))
            if _has_allowed_size(summary, request.max_bytes, pointer / "model"):
                _check_model(built, built.model, spec, arrays, request, pointer)
    return ModelCheckResult(faults=findings.faults, notices=findings.notices, summary=summary)


def _has_allowed_size(summary: ModelSummary, max_bytes: int, pointer: Pointer) -> bool:
    """Report a model that needs too much memory. Return whether it does not."""
    needed = summary.memory.total
    if needed > max_bytes:
        pointer.add_fault(
            FaultCode.TOO_LARGE,
            f"The model has {summary.parameters:,} parameters and needs {needed / _GIB:,.0f} GiB to train; this "
            f"service accepts models that need up to {max_bytes / _GIB:,.0f} GiB.",
            received=needed,
            expected=f"at most {max_bytes}",
        )
    return needed <= max_bytes


def _check_model(
    built: BuiltJob,
    model: keras.Model,
    spec: PartialJob,
    arrays: JobArrays,
    request: ModelCheckRequest,
    pointer: Pointer,
) -> None:
    """Compare the model with the rest of the job."""
    check_first_layer(model, spec, pointer / "model" / "config" / "layers" / 0)
    check_names(model, spec, pointer)
    consistency.check_text(arrays.x, pointer / "data" / "x")
    consistency.check_text(arrays.y, pointer / "data" / "y")
    check_input_shapes(model, spec, arrays.x, pointer / "data" / "x")
    check_input_values(model, spec, arrays, pointer)
    if spec.model_is_complete:
        check_batch_size(model, spec, arrays.x, pointer / "fit" / "batch_size")
        check_all_targets(built, model, spec, arrays, pointer)
        if spec.initial_weights is not None:
            source = _initial_source(built, request)
            check_initial_weights(model, source, spec, spec.initial_weights, pointer / "initial_weights")


def _initial_source(built: BuiltJob, request: ModelCheckRequest) -> Source | None:
    """Return what is known of the weights that the job starts with."""
    if request.initial_arrays is not None:
        return source_in(request.initial_arrays)
    return source_of(built.initial_model, request.initial_compile) if built.initial_model is not None else None
