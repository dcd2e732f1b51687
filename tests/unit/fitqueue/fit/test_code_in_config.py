from typing import Any

import pytest

from fitqueue.fit.code_in_config import is_of_keras, report_code
from fitqueue.spec.findings import Findings, Pointer

FUNCTION = {"module": "builtins", "class_name": "function", "config": "mine", "registered_name": "function"}
LAMBDA = {"class_name": "__lambda__", "config": {"value": ["4wEA", None, None]}}
OWN = {"module": None, "class_name": "Mine", "config": {"inner": FUNCTION}, "registered_name": "Mine"}
DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "dense", "activation": "relu"},
         "registered_name": None}  # fmt: skip


def found(config: Any, own: Any = None) -> list[tuple[str, str, Any]]:
    findings = Findings()
    pointers = report_code(config, Pointer(findings, "/model"), own)
    assert pointers == [fault.pointer for fault in findings.faults]
    assert {fault.code for fault in findings.faults} <= {"custom_object"}
    return [(fault.pointer, fault.message, fault.received) for fault in findings.faults]


def test_nothing_in_what_is_data() -> None:
    assert found({"layers": [DENSE], "loss": {"a": "mse", "b": None}, "numbers": [1, 2.5]}) == []


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("loss", "Use one of Keras's losses, such as keras.losses.Huber()."),
        ("weighted_metrics", "Use one of Keras's metrics, or compute yours afterwards on the model that comes back."),
        ("recurrent_activation", 'Use one of Keras\'s activations by its name, such as "gelu".'),
        ("kernel_initializer", "Use one of Keras's initializers, such as keras.initializers.HeNormal()."),
        ("bias_regularizer", "Use one of Keras's regularizers, such as keras.regularizers.L2(0.01)."),
        ("kernel_constraint", "Use one of Keras's constraints, such as keras.constraints.MaxNorm(2.0)."),
        ("optimizer", "Use one of Keras's optimizers."),
        ("cell", "Use Keras's own layers."),
    ],
)
def test_a_function_and_what_to_use_instead(key: str, advice: str) -> None:
    text = "The function 'mine' is code, and only data can be sent."
    assert found({key: FUNCTION}) == [(f"/model/{key}", f"{text} {advice}", "mine")]
    assert found({key: [LAMBDA]}) == [(f"/model/{key}/0", f"A lambda is code, and only data can be sent. {advice}",
                                       "<lambda>")]  # fmt: skip


def test_a_class_is_reported_once_with_all_that_is_in_it() -> None:
    text = "Mine is a class of your own, which is code, and only data can be sent. Use Keras's own layers."
    assert found({"layers": [DENSE, OWN]}) == [("/model/layers/1", text, "Mine")]


@pytest.mark.parametrize(
    ("module", "registered", "is_own"),
    [
        ("keras.layers", None, False), ("keras.src.ops.numpy", "Sin", False), ("tf_keras.src.layers", None, False),
        (None, None, False), (None, "Mine", True), (None, "package>Mine", True), ("__main__", None, True),
        ("kerasish.layers", None, True), ("my.keras", "Mine", True),
    ],
)  # fmt: skip
def test_whose_a_class_is(module: str | None, registered: str | None, is_own: bool) -> None:
    config = {"module": module, "class_name": "Mine", "config": {}, "registered_name": registered}
    assert bool(found(config)) is is_own


def test_a_lambda_layer_is_reported_without_its_function() -> None:
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"function": LAMBDA}, "registered_name": None}
    assert [(pointer, received) for pointer, _, received in found([layer])] == [("/model/0", "Lambda")]


def test_a_function_that_keras_writes_by_its_name() -> None:
    """Keras writes a function of the user's that is named `relu` as its own."""
    assert [pointer for pointer, _, _ in found([DENSE], {("dense", "activation"): "relu"})] == [
        "/model/0/config/activation"
    ]
    with_config = {**DENSE, "config": {"name": "dense", "activation": {"value": ["4wEA", None, None]}}}
    assert found([with_config], {("dense", "activation"): "<lambda>"})[0][2] == "<lambda>"
    assert found([DENSE], {("other", "activation"): "relu"}) == []


def test_whose_a_function_is() -> None:
    assert is_of_keras(len)
    assert not is_of_keras(found)
    assert not is_of_keras(None)
