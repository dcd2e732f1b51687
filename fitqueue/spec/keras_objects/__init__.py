"""Keras objects as JSON, checked and brought into canonical form, without Keras and apart from the checks of a job."""
