"""Check names of inputs and outputs that only Keras knows."""

import keras

from fitqueue.spec import PartialJob
from fitqueue.spec.checks.named_outputs import IONames, check_arrays, check_compile, io_names
from fitqueue.spec.findings import Findings, Pointer
from workers.model_check.inputs import named_inputs


def check_names(model: keras.Model, spec: PartialJob, pointer: Pointer) -> None:
    """Check what the job gives by name, if an architecture decides the names of its model's inputs or outputs."""
    assert spec.model is not None
    names = io_names(spec.model)
    inputs = list(named_inputs(model)) or None if names.inputs is None else None
    outputs = list(model.output_names) if names.outputs is None else None
    if spec.data is not None:
        check_arrays(spec.data, IONames(inputs, outputs), pointer / "data")
    if outputs is not None:
        check_compile(spec.compile, IONames(None, outputs), pointer / "compile")


def has_valid_output_names(spec: PartialJob) -> bool:
    """Return whether losses, metrics and weights have names of outputs. If not, that has been reported already."""
    findings = Findings()
    if spec.model is not None:
        check_compile(spec.compile, io_names(spec.model), Pointer(findings))
    return not findings.faults
