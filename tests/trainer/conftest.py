"""TensorFlow is loaded once for all tests of this folder, quietly."""

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture
def forget_variables() -> Iterator[None]:
    """Let Keras forget the variables that a test never initialized. It would initialize them in a later test."""
    yield
    import keras

    keras.utils.clear_session()
