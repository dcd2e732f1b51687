"""Checks of the parts of a job against each other; what a single Keras object must be is in `keras_objects`."""
