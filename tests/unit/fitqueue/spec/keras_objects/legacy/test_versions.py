"""What the absence of an argument meant in the version of Keras that wrote a model."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.spec import ParsedJob
from tests.unit.fitqueue.spec.jobs import layer, notices_of, sequential_job

Parse = Callable[[Any], ParsedJob]


def job(version: Any, gru: dict[str, Any]) -> dict[str, Any]:
    sent = sequential_job(layer("Reshape", target_shape=[12, 1], batch_input_shape=[None, 12]), gru)
    sent["model"]["keras_version"] = version
    return sent


@pytest.mark.parametrize(
    ("version", "resets_before"),
    [
        ("2.0.8", True),
        ("2.1", True),
        ("2.2.4", True),
        ("2.3.1", True),
        ("2.1.6-tf", True),
        ("2.2.4-tf", False),
        ("2.3.0-tf", False),
        ("2.4.0", False),
        ("2.15.0", False),
        ("3.3.3", False),
        (None, False),
        (2.1, False),
    ],
)
def test_a_gru_without_reset_after(version: Any, resets_before: bool, parse: Parse) -> None:
    parsed = parse(job(version, layer("GRU", units=3)))
    assert parsed.spec.model.config["layers"][2]["config"].get("reset_after") is (False if resets_before else None)
    assert (("/model/config/layers/1", "translated") in notices_of(parsed)) is resets_before


def test_a_gru_with_reset_after_is_kept(parse: Parse) -> None:
    parsed = parse(job("2.2.4", layer("GRU", units=3, reset_after=True)))
    assert parsed.spec.model.config["layers"][2]["config"]["reset_after"] is True


def test_a_gru_inside_other_layers(parse: Parse) -> None:
    bidirectional = parse(job("2.1.2", layer("Bidirectional", layer=layer("GRU", units=3))))
    assert bidirectional.spec.model.config["layers"][2]["config"]["layer"]["config"]["reset_after"] is False
    cell = parse(job("2.1.2", layer("RNN", cell=layer("GRUCell", units=3))))
    assert cell.spec.model.config["layers"][2]["config"]["cell"]["config"]["reset_after"] is False


def test_the_gru_of_cudnn_always_reset_after(parse: Parse) -> None:
    parsed = parse(job("2.2.4", layer("CuDNNGRU", units=3)))
    assert "reset_after" not in parsed.spec.model.config["layers"][2]["config"]
