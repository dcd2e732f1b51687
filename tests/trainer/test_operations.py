"""Operations of keras.ops in a model: the layers that take their place compute the same as Keras."""

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from fitqueue.spec import KerasObject
from fitqueue.spec.findings import Findings, Pointer
from fitqueue.spec.keras_objects.objects import check_object
from workers.keras_tools.models import build_model

OPERATIONS: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "arithmetic": ((6, 4), lambda x: 1 - (ops.relu(x) * 2 + 1 - 0.5) / 4),
    "activations": ((6, 4), lambda x: ops.sigmoid(ops.tanh(-x)) + ops.softmax(x)),
    "reshape": ((6, 4), lambda x: ops.reshape(x, (-1, 8, 3))),
    "steps": ((6, 4), lambda x: x[:, 1:3]),
    "last steps": ((6, 4), lambda x: x[:, -2:, :]),
    "rows and columns": ((6, 5, 4), lambda x: x[:, 1:4, :-2]),
    "columns and channels": ((6, 5, 4), lambda x: x[..., 1:3, 2:]),
    "channels": ((2, 6, 5, 4), lambda x: x[..., 1:3]),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_layers_in_place_of_operations_compute_the_same(name: str) -> None:
    shape, operation = OPERATIONS[name]
    inputs = keras.Input(shape)
    model = keras.Model(inputs, operation(inputs))
    findings = Findings()
    canonical = check_object(json.loads(model.to_json()), "layers", Pointer(findings))
    assert findings.faults == []
    built = build_model(KerasObject(**canonical))
    assert all(isinstance(layer, keras.layers.Layer) for layer in built.operations)
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype("float32")
    np.testing.assert_allclose(built.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-6, atol=1e-6)
