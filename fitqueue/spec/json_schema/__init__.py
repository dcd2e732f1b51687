"""The JSON Schema of a job as users write it: for the description of the API, and for editors."""

from fitqueue.spec.json_schema.job import job_schema

__all__ = ["job_schema"]
