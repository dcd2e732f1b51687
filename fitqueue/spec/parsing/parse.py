"""Parse a job as a user sent it: check all of it, translate and complete it, and report every fault at once."""

import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from fitqueue.errors import Fault, InvalidSpec
from fitqueue.spec.checks.callbacks import with_logged_names, without_redundant
from fitqueue.spec.checks.cross_checks import FindDataset, cross_check
from fitqueue.spec.fields.partial import PartialJob, partial_job
from fitqueue.spec.fields.training import KerasObject
from fitqueue.spec.findings import MAX_FAULTS, FaultCode, Findings, Pointer, TooManyFaults
from fitqueue.spec.keras_objects.legacy.tensorflow_js import report_tensorflow_js
from fitqueue.spec.keras_objects.model import with_layers_field
from fitqueue.spec.keras_objects.objects import FAULTY, check_object
from fitqueue.spec.parsing.by_order import with_names
from fitqueue.spec.parsing.canonical import with_canonical_objects
from fitqueue.spec.parsing.job import MAX_SEED, JobSpec
from fitqueue.spec.parsing.request_pointers import with_sent_names
from fitqueue.spec.strict import report_unknown_fields, report_validation_error
from fitqueue.views import Notice

Finding = TypeVar("Finding", Fault, Notice)

SCHEMA_KEY: Final = "$schema"
"""The field that tells an editor the schema of the file. It says nothing about the job."""


@dataclass(frozen=True)
class ParsedJob:
    """A job without faults, and the notices about it."""

    spec: JobSpec
    notices: list[Notice]


@dataclass(frozen=True)
class ExaminedJob:
    """What is known of a job after it was examined.

    Attributes:
        spec: the job; None if it has faults.
        partial: the valid parts of the job; empty if it has too many faults.
    """

    spec: JobSpec | None
    partial: PartialJob
    faults: list[Fault]
    notices: list[Notice]


def parse_job(raw: Any, find_dataset: FindDataset) -> ParsedJob:
    """Return the job that a user sent, given as the value of its JSON.

    Args:
        find_dataset: looks up a data set that is not built in.

    Raises:
        InvalidSpec: names all faults at once.
    """
    examined = examine_job(raw, find_dataset)
    if examined.spec is None:
        raise invalid_job(examined.faults)
    return ParsedJob(examined.spec, examined.notices)


def examine_job(raw: Any, find_dataset: FindDataset) -> ExaminedJob:
    """Parse a job as `parse_job` does, but return the faults and the valid parts of a job with faults."""
    findings = Findings()
    pointer = Pointer(findings)
    spec, partial = None, PartialJob()
    if isinstance(raw, dict) and "model" not in raw and report_tensorflow_js(raw, pointer):
        pass  # the other fields are those of TensorFlow.js
    elif isinstance(raw, dict):
        with suppress(TooManyFaults):
            spec, partial = _examine(raw, find_dataset, pointer)
    else:
        pointer.add_fault(FaultCode.WRONG_TYPE, "Expected an object.", raw, "an object")
    return ExaminedJob(spec, partial, _with_sent_names(findings.faults, raw), _with_sent_names(findings.notices, raw))


def _with_sent_names(findings: Sequence[Finding], raw: Any) -> list[Finding]:
    return [each.model_copy(update={"pointer": with_sent_names(each.pointer, raw)}) for each in findings]


def invalid_job(faults: Sequence[Fault]) -> InvalidSpec:
    """Return the error for a job with these faults."""
    count = len(faults)
    message = "The job has a fault." if count == 1 else f"The job has {count} faults."
    if count >= MAX_FAULTS:
        message = f"The job has many faults. These are the first {MAX_FAULTS}."
    return InvalidSpec(message, errors=list(faults[:MAX_FAULTS]))


def _examine(raw: dict[str, Any], find_dataset: FindDataset, pointer: Pointer) -> tuple[JobSpec | None, PartialJob]:
    raw = report_unknown_fields(JobSpec, {name: value for name, value in raw.items() if name != SCHEMA_KEY}, pointer)
    canonical, pointer = with_names(with_canonical_objects(raw, pointer), pointer)
    spec = None
    try:
        spec = JobSpec.model_validate(canonical)
    except ValidationError as error:
        report_validation_error(error, JobSpec, canonical, pointer)
    partial = _with_first_layers(partial_job(canonical), raw.get("model"), pointer / "model")
    model = cross_check(partial, _has_validation_data(canonical), find_dataset, pointer)
    partial = partial.model_copy(update={"model": model})
    return None if spec is None or pointer.findings.faults else _complete(spec, partial, pointer), partial


def _complete(spec: JobSpec, partial: PartialJob, pointer: Pointer) -> JobSpec:
    """Return the job with its seed, the model's input, and the names of its metrics and of the values it logs."""
    seed = secrets.randbelow(MAX_SEED) if spec.seed is None else spec.seed
    compiled = spec.compile.model_copy(update=partial.compile.named_metrics())
    spec = spec.model_copy(update={"model": partial.model, "compile": compiled, "seed": seed})
    callbacks = with_logged_names(spec.callbacks, spec.logged_names, pointer / "callbacks")
    return spec.model_copy(update={"callbacks": without_redundant(callbacks, pointer / "callbacks")})


def _has_validation_data(canonical: Mapping[str, Any]) -> bool:
    data, fit = (value if isinstance(value, dict) else {} for value in (canonical.get("data"), canonical.get("fit")))
    return bool(data.get("validation") or fit.get("validation_split"))


def _with_first_layers(partial: PartialJob, raw_model: Any, pointer: Pointer) -> PartialJob:
    """Add the layers before the first faulty one, if the model is a Sequential with a faulty layer."""
    if partial.model is not None or not isinstance(raw_model, dict) or raw_model.get("class_name") != "Sequential":
        return partial
    config, layers_pointer = with_layers_field(raw_model, Pointer(Findings(), pointer.text) / "config")
    layers = config.get("layers") if isinstance(config, dict) else None
    count = _first_faulty_index(Pointer(pointer.findings, layers_pointer.text))
    if not isinstance(layers, list) or not count:
        return partial
    first_layers = {**raw_model, "config": {**config, "layers": layers[:count]}}
    model = check_object(first_layers, "layers", Pointer(Findings()))
    if model is FAULTY:
        return partial
    return partial.model_copy(update={"model": KerasObject(**model), "model_is_complete": False})


def _first_faulty_index(pointer: Pointer) -> int:
    """Return the index of the first item with a fault in the list at `pointer`; 0 if no item has one."""
    pattern = re.compile(re.escape(pointer.text) + r"/(\d+)(/|$)")
    matches = (pattern.match(fault.pointer) for fault in pointer.findings.faults)
    return min((int(match[1]) for match in matches if match), default=0)
