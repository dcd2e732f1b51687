"""Jobs as data: what a user may write, checked without Keras, and what the service understood."""

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.spec.data import DataSpec, PrepareStep, prepared_shape
from fitqueue.spec.filepath import BadTemplate, Template
from fitqueue.spec.job import ExaminedJob, JobSpec, ParsedJob, examine_job, invalid_job, parse_job, read_job
from fitqueue.spec.keras_objects.catalogue import raw_catalogue
from fitqueue.spec.logged import direction, logged_names
from fitqueue.spec.partial import PartialJob
from fitqueue.spec.strict_json import parse_json
from fitqueue.spec.training import MAX_EPOCHS, CompileSpec, FitSpec, KerasObject, Resources

__all__ = [
    "MAX_EPOCHS",
    "ArrayInfo",
    "BadTemplate",
    "CompileSpec",
    "DataSpec",
    "DatasetInfo",
    "ExaminedJob",
    "FitSpec",
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
    "logged_names",
    "parse_job",
    "parse_json",
    "prepared_shape",
    "raw_catalogue",
    "read_job",
]
