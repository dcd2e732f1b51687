"""Jobs as data: parsing what users send, without Keras, into the form that the service stores and trains."""

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.spec.fields.data import DataSpec, PrepareStep, prepared_info
from fitqueue.spec.fields.logged import direction
from fitqueue.spec.fields.partial import PartialJob
from fitqueue.spec.fields.training import MAX_EPOCHS, CompileSpec, FitSpec, KerasObject, Resources
from fitqueue.spec.filepath import BadTemplate, Template
from fitqueue.spec.json_schema import job_schema
from fitqueue.spec.keras_objects.catalogue import raw_catalogue
from fitqueue.spec.parsing.change import JobChange, parse_change
from fitqueue.spec.parsing.job import MAX_LABELS, MAX_PRIORITY, MAX_RUNTIME_SECONDS, JobSpec, read_job
from fitqueue.spec.parsing.parse import ExaminedJob, ParsedJob, examine_job, invalid_job, parse_job
from fitqueue.spec.strict_json import parse_json

__all__ = [
    "MAX_EPOCHS",
    "MAX_LABELS",
    "MAX_PRIORITY",
    "MAX_RUNTIME_SECONDS",
    "ArrayInfo",
    "BadTemplate",
    "CompileSpec",
    "DataSpec",
    "DatasetInfo",
    "ExaminedJob",
    "FitSpec",
    "JobChange",
    "JobSpec",
    "KerasObject",
    "ParsedJob",
    "PartialJob",
    "PrepareStep",
    "Resources",
    "Template",
    "direction",
    "examine_job",
    "invalid_job",
    "job_schema",
    "parse_change",
    "parse_job",
    "parse_json",
    "prepared_info",
    "raw_catalogue",
    "read_job",
]
