"""The table of a model, as it is printed to a pipe."""

import pytest

from fitqueue.cli.models import print_model
from fitqueue.views import LayerView, MemoryEstimate, ModelSummary

SUMMARY = ModelSummary(
    layers=[
        LayerView(
            name="dense",
            class_name="Dense",
            output_shapes=[[None, 10]],
            dtype="float32",
            parameters=1210,
            trainable=True,
            inputs=["input_layer"],
        )
    ],
    parameters=1210,
    trainable_parameters=1200,
    memory=MemoryEstimate(weights=4840, gradients=4800, optimizer=9600, activations=1280, total=20520),
)


def test_a_model_is_printed_layer_by_layer(capsys: pytest.CaptureFixture[str]) -> None:
    print_model(SUMMARY)
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split() == ["dense", "Dense", "(any,", "10)", "1,210", "input_layer"]
    assert "1,210 parameters, 10 of them frozen" in err
    assert "About 20.5 kB to train" in err
