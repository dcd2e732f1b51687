import pytest

from fitqueue.errors import Fault
from fitqueue.fit.arguments import argument_of, with_argument

MODEL = {
    "class_name": "Sequential",
    "config": {
        "name": "outer",
        "layers": [
            {"class_name": "InputLayer", "config": {"name": "input"}},
            {
                "class_name": "Bidirectional",
                "config": {
                    "name": "both",
                    "layer": {
                        "class_name": "LSTM",
                        "config": {
                            "name": "inner",
                            "kernel_initializer": {"class_name": "Own", "config": {"name": "x"}},
                        },
                    },
                },
            },
            {"class_name": "Functional", "config": {"layers": [{"class_name": "Dense", "config": {"name": "deep"}}]}},
        ],
    },
}


@pytest.mark.parametrize(
    ("pointer", "argument"),
    [
        ("", ""),
        ("/model", "model"),
        ("/model/config/name", "model"),
        ("/model/config/layers/0", "model, layer 'input'"),
        ("/model/config/layers/1/config/name", "model, layer 'both'"),
        ("/model/config/layers/1/config/layer/config/kernel_initializer", "model, layer 'inner'"),
        ("/model/config/layers/2/config/layers/0/config/units", "model, layer 'deep'"),
        ("/model/config/layers/9", "model"),
        ("/compile", "model"),
        ("/compile/loss/out", "model.compile(loss=…)"),
        ("/callbacks/1/config/monitor", "callbacks[2] (EarlyStopping)"),
        ("/callbacks", "callbacks"),
        ("/callbacks/7", "callbacks"),
        ("/data", "x"),
        ("/data/y/out", "y"),
        ("/data/sample_weight", "sample_weight"),
        ("/data/validation/y", "validation_data"),
        ("/fit/class_weight/0", "class_weight"),
        ("/resources/gpus", "gpus"),
        ("/seed", "seed"),
    ],
)
def test_the_argument_of_a_pointer(pointer: str, argument: str) -> None:
    assert argument_of(pointer, MODEL, ["callbacks[0] (TensorBoard)", "callbacks[2] (EarlyStopping)"]) == argument


def test_a_message_names_the_argument_once() -> None:
    fault = Fault(pointer="/data/y", code="bad_shape", message="Too short.", received=None, expected=None)
    named = with_argument(fault, None, [])
    assert named.message == "y: Too short."
    assert with_argument(named, None, []) == named
