"""Arguments that Keras has renamed, dropped, or given another form."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from tests.unit.fitqueue.spec.jobs import layer, lstm_job, notices_of, sequential_job

Changed = Callable[[str, Any], dict[str, Any]]
Parse = Callable[[Any], ParsedJob]
FindFault = Callable[[Any], Fault]

FIRST = "/model/config/layers/0"


def test_lr_is_read_as_learning_rate(changed: Changed, parse: Parse) -> None:
    parsed = parse(changed("/compile/optimizer", layer("Adam", lr=1e-4)))
    assert parsed.spec.compile.optimizer.config["learning_rate"] == 1e-4
    assert notices_of(parsed) == [("/compile/optimizer/config/lr", "translated")]


def test_a_fault_points_to_the_argument_as_it_was_sent(changed: Changed, only_fault: FindFault) -> None:
    fault = only_fault(changed("/compile/optimizer", layer("Adam", lr=-1)))
    assert (fault.pointer, fault.code) == ("/compile/optimizer/config/lr", "out_of_range")


def test_the_old_and_the_present_name_conflict(changed: Changed, only_fault: FindFault) -> None:
    fault = only_fault(changed("/compile/optimizer", layer("Adam", lr=1e-4, learning_rate=1e-3)))
    assert (fault.pointer, fault.code) == ("/compile/optimizer/config/lr", "conflict")


def test_epsilon_of_reduce_lr_on_plateau_is_read_as_min_delta(changed: Changed, parse: Parse) -> None:
    parsed = parse(changed("/callbacks/0", layer("ReduceLROnPlateau", epsilon=0.5)) | {})
    assert parsed.spec.callbacks[0].config["min_delta"] == 0.5
    assert notices_of(parsed) == [("/callbacks/0/config/epsilon", "translated")]


def test_epsilon_of_an_optimizer_is_kept(changed: Changed, parse: Parse) -> None:
    parsed = parse(changed("/compile/optimizer", layer("Adam", epsilon=1e-3)))
    assert parsed.spec.compile.optimizer.config["epsilon"] == 1e-3
    assert parsed.notices == []


def test_weights_of_a_layer_are_refused_with_advice(only_fault: FindFault) -> None:
    fault = only_fault(sequential_job(layer("Dense", units=3, weights=[[1.0]])))
    assert (fault.pointer, fault.code) == (f"{FIRST}/config/weights", "not_supported")
    assert "initial_weights" in fault.message


def test_the_lstm_of_the_reference_document(parse: Parse) -> None:
    documented = {
        "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True,
        "kernel_initializer": "glorot_uniform", "recurrent_initializer": "orthogonal", "bias_initializer": "zeros",
        "unit_forget_bias": True, "kernel_regularizer": None, "recurrent_regularizer": None, "bias_regularizer": None,
        "activity_regularizer": None, "kernel_constraint": None, "recurrent_constraint": None, "bias_constraint": None,
        "dropout": 0.0, "recurrent_dropout": 0.0, "return_sequences": False, "return_state": False,
        "go_backwards": False, "stateful": False, "unroll": False,
    }  # fmt: skip
    parsed = parse(lstm_job(**documented, implementation=2, time_major=False))
    assert parsed.spec.model.config["layers"][1] == layer("LSTM", units=3, **documented)
    assert {notice.pointer.rsplit("/", 1)[1] for notice in parsed.notices} == {"implementation", "time_major", "model"}


@pytest.mark.parametrize(
    ("config", "mentioned"),
    [
        ({"bias_initializer": "ones"}, True),
        ({"bias_initializer": layer("RandomNormal"), "unit_forget_bias": True}, True),
        ({"bias_initializer": "ones", "unit_forget_bias": False}, False),
        ({"bias_initializer": "ones", "use_bias": False}, False),
        ({"bias_initializer": "zeros"}, False),
        ({"bias_initializer": layer("Zeros"), "unit_forget_bias": True}, False),
    ],
)
def test_a_notice_explains_unit_forget_bias(config: dict[str, Any], mentioned: bool, parse: Parse) -> None:
    """The document of 2020 says that it is; Keras 2 did not do it either."""
    parsed = parse(lstm_job(**config))
    assert ((f"{FIRST}/config/bias_initializer", "suspicious") in notices_of(parsed)) is mentioned


def test_time_major_is_refused_with_advice(only_fault: FindFault) -> None:
    fault = only_fault(lstm_job(time_major=True))
    assert (fault.pointer, fault.code) == (f"{FIRST}/config/time_major", "not_supported")
    assert "Permute" in fault.message


def test_repeat_vector(parse: Parse, only_fault: FindFault) -> None:
    layers = [layer("Dense", units=32, input_dim=12), layer("RepeatVector", n=3), layer("LSTM", units=1)]
    assert parse(sequential_job(*layers)).spec.model.config["layers"][2] == layer("RepeatVector", n=3)
    layers[1] = layer("RepeatVector", n=3.5)
    assert only_fault(sequential_job(*layers)).pointer == "/model/config/layers/1/config/n"


def test_the_momentum_decay_of_nadam_does_not_decay_the_learning_rate(changed: Changed, parse: Parse) -> None:
    """Keras 2 called it schedule_decay, tf.keras decay; Keras 3 has one fixed value."""
    for old in ("schedule_decay", "decay"):
        parsed = parse(changed("/compile/optimizer", layer("Nadam", lr=0.002, **{old: 0.004})))
        assert parsed.spec.compile.optimizer.config["learning_rate"] == 0.002
        assert (f"/compile/optimizer/config/{old}", "ignored") in notices_of(parsed)


@pytest.mark.parametrize("rate", [0, -1, 0.0])
def test_a_learning_rate_of_zero_or_less_is_a_fault(rate: float, changed: Changed, only_fault: FindFault) -> None:
    for config in ({"lr": rate}, {"lr": rate, "decay": 0.1}):
        fault = only_fault(changed("/compile/optimizer", layer("Adam", **config)))
        assert (fault.pointer, fault.code) == ("/compile/optimizer/config/lr", "out_of_range")
        assert (fault.received, fault.expected) == (rate, "a number > 0")


def test_decay_is_read_as_a_schedule(changed: Changed, parse: Parse, only_fault: FindFault) -> None:
    """Keras 2: lr / (1 + decay * step)."""
    config = parse(changed("/compile/optimizer", layer("SGD", lr=0.5, decay=0.01))).spec.compile.optimizer.config
    assert config["learning_rate"]["class_name"] == "InverseTimeDecay"
    assert config["learning_rate"]["config"] == {"initial_learning_rate": 0.5, "decay_steps": 1, "decay_rate": 0.01}
    default = parse(changed("/compile/optimizer", layer("SGD", decay=0.01))).spec.compile.optimizer.config
    assert default["learning_rate"]["config"]["initial_learning_rate"] == 0.01
    parsed = parse(changed("/compile/optimizer", layer("Adam", decay=0.0, epsilon=None)))
    assert parsed.spec.compile.optimizer.config["learning_rate"] == 0.001
    assert {notice.code for notice in parsed.notices} == {"ignored", "translated"}
    assert (
        only_fault(changed("/compile/optimizer", layer("Adam", decay="0.1"))).pointer
        == "/compile/optimizer/config/decay"
    )


def test_the_reduction_of_a_keras_2_loss(changed: Changed, parse: Parse) -> None:
    """`loss.get_config()` of tf_keras 2.21."""
    config = {"reduction": "auto", "name": "categorical_crossentropy", "fn": "categorical_crossentropy"}
    parsed = parse(changed("/compile/loss", layer("CategoricalCrossentropy", **config, from_logits=False)))
    assert parsed.spec.compile.loss.config["reduction"] == "sum_over_batch_size"
    assert sorted(notices_of(parsed)) == [
        ("/compile/loss/config/fn", "ignored"),
        ("/compile/loss/config/reduction", "translated"),
    ]


def test_units_may_be_a_float_without_a_fraction(parse: Parse, only_fault: FindFault) -> None:
    parsed = parse(sequential_job(layer("Dense", units=10.0, input_dim=12)))
    assert parsed.spec.model.config["layers"][1] == layer("Dense", units=10)
    assert (f"{FIRST}/config/units", "translated") in notices_of(parsed)
    assert only_fault(sequential_job(layer("Dense", units=10.5, input_dim=12))).code == "wrong_type"


@pytest.mark.parametrize(
    "layer",
    [
        layer("RepeatVector", n=3.0),
        layer("Dense", units=3, input_dim=12.0),
        layer("Dense", units=3, input_shape=[12.0]),
        layer("Dropout", rate=0.5, seed=3.0),
    ],
)
def test_every_integer_may_be_a_float_without_a_fraction(layer: dict[str, Any], parse: Parse) -> None:
    parsed = parse(sequential_job(layer))
    assert "translated" in {notice.code for notice in parsed.notices}
    assert ".0" not in json.dumps(parsed.spec.model.config)
