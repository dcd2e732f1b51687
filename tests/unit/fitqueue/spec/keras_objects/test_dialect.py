"""What Keras took in 2020 is read, and each translation is named."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from fitqueue.spec.keras_objects.dialect import logged_as

Changed = Callable[[str, Any], dict[str, Any]]
Parse = Callable[[Any], ParsedJob]
FindFault = Callable[[Any], Fault]

SEQUENCES = {"dataset": "mine", "x": "sequences", "y": "y"}
FIRST = "/model/config/layers/0"


def _series(*layers: dict[str, Any]) -> dict[str, Any]:
    """A job on samples of 12 numbers."""
    return {
        "model": {"class_name": "Sequential", "config": {"layers": list(layers)}},
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "data": {"dataset": "mine", "x": "x", "y": "y"},
        "seed": 1,
    }


def _layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


def _recurrent(**config: Any) -> dict[str, Any]:
    job = _series(_layer("LSTM", units=3, **config))
    job["data"]["prepare"] = {"x": [{"reshape": [12, 1]}]}
    return job


def _reshaped(shape: list[int]) -> dict[str, Any]:
    return {"data": {"dataset": "mine", "x": "x", "y": "y", "prepare": {"x": [{"reshape": shape}]}}}


def _notices(parsed: ParsedJob) -> list[tuple[str, str]]:
    return [(notice.pointer, notice.code) for notice in parsed.notices]


def test_lr_is_the_learning_rate(changed: Changed, parse: Parse) -> None:
    parsed = parse(changed("/compile/optimizer", _layer("Adam", lr=1e-4)))
    assert parsed.spec.compile.optimizer.config["learning_rate"] == 1e-4
    assert _notices(parsed) == [("/compile/optimizer/config/lr", "translated")]


def test_a_fault_stands_where_it_was_written(changed: Changed, fault: FindFault) -> None:
    found = fault(changed("/compile/optimizer", _layer("Adam", lr=-1)))
    assert (found.pointer, found.code) == ("/compile/optimizer/config/lr", "out_of_range")


def test_both_names_at_once_contradict_each_other(changed: Changed, fault: FindFault) -> None:
    found = fault(changed("/compile/optimizer", _layer("Adam", lr=1e-4, learning_rate=1e-3)))
    assert (found.pointer, found.code) == ("/compile/optimizer/config/lr", "conflict")


def test_epsilon_of_reduce_lr_on_plateau_is_min_delta(changed: Changed, parse: Parse) -> None:
    parsed = parse(changed("/callbacks/0", _layer("ReduceLROnPlateau", epsilon=0.5)) | {})
    assert parsed.spec.callbacks[0].config["min_delta"] == 0.5
    assert _notices(parsed) == [("/callbacks/0/config/epsilon", "translated")]


def test_epsilon_of_an_optimizer_stays(changed: Changed, parse: Parse) -> None:
    parsed = parse(changed("/compile/optimizer", _layer("Adam", epsilon=1e-3)))
    assert parsed.spec.compile.optimizer.config["epsilon"] == 1e-3
    assert parsed.notices == []


@pytest.mark.parametrize(
    ("written", "weights_only", "read", "translated"),
    [
        ("{epoch:02d}.h5", True, "{epoch:02d}.weights.h5", True),
        ("{epoch:02d}.hdf5", True, "{epoch:02d}.weights.h5", True),
        ("{epoch:02d}.h5", False, "{epoch:02d}.keras", True),
        ("w.{epoch:02d}-{val_loss:.2f}.hdf5", False, "w.{epoch:02d}-{val_loss:.2f}.keras", True),
        ("{epoch:02d}.weights.h5", False, "{epoch:02d}.keras", True),
        ("{epoch:02d}.weights.h5", True, "{epoch:02d}.weights.h5", False),
        ("{epoch:02d}.keras", False, "{epoch:02d}.keras", False),
    ],
)
def test_endings(written: str, weights_only: bool, read: str, translated: bool, changed: Changed, parse: Parse) -> None:
    callback = _layer("ModelCheckpoint", filepath=written, save_weights_only=weights_only, period=3)
    parsed = parse(changed("/callbacks/0", callback))
    assert parsed.spec.callbacks[0].config["filepath"] == read
    assert parsed.spec.callbacks[0].config["period"] == 3
    assert _notices(parsed) == ([("/callbacks/0/config/filepath", "translated")] if translated else [])


@pytest.mark.parametrize(("argument", "value"), [("input_shape", [12]), ("input_dim", 12), ("input_shape", 12)])
def test_the_input_shape_of_a_first_layer_is_an_input_layer(argument: str, value: Any, parse: Parse) -> None:
    parsed = parse(_series(_layer("Dense", units=3, **{argument: value})))
    assert parsed.spec.model.config["layers"] == [_layer("InputLayer", shape=[12]), _layer("Dense", units=3)]
    assert _notices(parsed) == [(f"{FIRST}/config/{argument}", "translated")]


def test_a_batch_input_shape_is_an_input_layer(parse: Parse) -> None:
    parsed = parse(_series(_layer("Dense", units=3, batch_input_shape=[None, 12])))
    assert parsed.spec.model.config["layers"][0] == _layer("InputLayer", batch_shape=[None, 12])


def test_an_embedding_keeps_its_input_dim(parse: Parse) -> None:
    parsed = parse(_series(_layer("Embedding", input_dim=100, output_dim=4, input_length=12)))
    assert parsed.spec.model.config["layers"] == [
        _layer("InputLayer", shape=[12]),
        _layer("Embedding", input_dim=100, output_dim=4),
    ]


def test_an_input_shape_further_back_has_never_counted(parse: Parse) -> None:
    parsed = parse(_series(_layer("Dense", units=3, input_dim=12), _layer("Dense", units=1, input_shape=[99])))
    assert parsed.spec.model.config["layers"][2] == _layer("Dense", units=1)
    assert _notices(parsed)[1] == ("/model/config/layers/1/config/input_shape", "ignored")


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        ({"input_dim": 8, "input_length": 5}, [5, 8]),
        ({"input_dim": 8}, [None, 8]),
        ({"input_shape": [5, 8]}, [5, 8]),
    ],
)
@pytest.mark.parametrize("class_name", ["LSTM", "GRU", "CuDNNLSTM"])
def test_a_recurrent_layer_has_time_steps_too(
    class_name: str, config: dict[str, Any], shape: Any, parse: Parse
) -> None:
    job = _series(_layer(class_name, units=3, **config)) | {"data": SEQUENCES}
    assert parse(job).spec.model.config["layers"][0] == _layer("InputLayer", shape=shape)


@pytest.mark.parametrize("argument", ["input_dim", "input_length"])
def test_a_wrong_axis_is_named_where_it_stands(argument: str, fault: FindFault) -> None:
    axes = {"input_dim": 12, "input_length": 1, argument: 0}
    found = fault(_series(_layer("LSTM", units=3, **axes)))
    assert (found.pointer, found.code) == (f"{FIRST}/config/{argument}", "out_of_range")


def test_a_first_layer_may_say_the_size_of_its_batches_and_have_no_weights(parse: Parse) -> None:
    parsed = parse(_series(_layer("Dense", units=3, input_dim=12, batch_size=4, weights=None)))
    assert parsed.spec.model.config["layers"][0] == _layer("InputLayer", shape=[12], batch_size=4)
    assert parsed.spec.model.config["layers"][1] == _layer("Dense", units=3)


def test_weights_come_from_another_job(fault: FindFault) -> None:
    found = fault(_series(_layer("Dense", units=3, weights=[[1.0]])))
    assert (found.pointer, found.code) == (f"{FIRST}/config/weights", "not_supported")
    assert "initial_weights" in found.message


def test_the_input_shape_of_a_layer_in_another_has_never_counted(parse: Parse) -> None:
    inner = _layer("Dense", units=3, input_shape=[9], input_dim=9)
    parsed = parse(_series(_layer("TimeDistributed", layer=inner), _layer("Flatten")) | _reshaped([4, 3]))
    assert parsed.spec.model.config["layers"][1] == _layer("TimeDistributed", layer=_layer("Dense", units=3))
    assert {code for pointer, code in _notices(parsed) if "/layer/" in pointer} == {"ignored"}


@pytest.mark.parametrize("value", ["12", [12, "1"], [0], {}])
def test_a_wrong_input_shape_is_named_where_it_stands(value: Any, fault: FindFault) -> None:
    found = fault(_series(_layer("Dense", units=3, input_shape=value)))
    assert found.pointer.startswith(f"{FIRST}/config/input_shape")


# The seven arguments of `tf.keras.Input`, as the document has them.
@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({"shape": 12}, {"shape": [12]}),
        ({"shape": [12]}, {"shape": [12]}),
        ({"shape": [12], "batch_size": None, "name": None, "dtype": None, "sparse": False, "tensor": None}, None),
        ({"shape": [12], "name": "numbers", "dtype": "float32"}, None),
        ({"shape": [12], "sparse": True}, None),
        ({"shape": [12], "batch_size": 10}, None),
    ],
)
def test_input_in_all_its_documented_arguments(config: dict[str, Any], kept: Any, parse: Parse) -> None:
    parsed = parse(_series(_layer("Input", **config), _layer("Dense", units=1)))
    kept = kept or {name: value for name, value in config.items() if name != "tensor"}
    assert parsed.spec.model.config["layers"][0] == _layer("InputLayer", **kept)


def test_a_tensor_cannot_be_wrapped(fault: FindFault) -> None:
    found = fault(_series(_layer("Input", shape=[12], tensor=[1, 2]), _layer("Dense", units=1)))
    assert (found.pointer, found.code) == (f"{FIRST}/config/tensor", "not_supported")
    assert "data" in found.message


def test_the_lstm_of_the_document(parse: Parse) -> None:
    documented = {
        "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True,
        "kernel_initializer": "glorot_uniform", "recurrent_initializer": "orthogonal", "bias_initializer": "zeros",
        "unit_forget_bias": True, "kernel_regularizer": None, "recurrent_regularizer": None, "bias_regularizer": None,
        "activity_regularizer": None, "kernel_constraint": None, "recurrent_constraint": None, "bias_constraint": None,
        "dropout": 0.0, "recurrent_dropout": 0.0, "return_sequences": False, "return_state": False,
        "go_backwards": False, "stateful": False, "unroll": False,
    }  # fmt: skip
    parsed = parse(_recurrent(**documented, implementation=2, time_major=False))
    assert parsed.spec.model.config["layers"][1] == _layer("LSTM", units=3, **documented)
    assert {notice.pointer.rsplit("/", 1)[1] for notice in parsed.notices} == {"implementation", "time_major", "model"}


@pytest.mark.parametrize(
    ("config", "mentioned"),
    [
        ({"bias_initializer": "ones"}, True),
        ({"bias_initializer": _layer("RandomNormal"), "unit_forget_bias": True}, True),
        ({"bias_initializer": "ones", "unit_forget_bias": False}, False),
        ({"bias_initializer": "ones", "use_bias": False}, False),
        ({"bias_initializer": "zeros"}, False),
        ({"bias_initializer": _layer("Zeros"), "unit_forget_bias": True}, False),
    ],
)
def test_the_bias_beside_the_forget_gate_is_not_forced_to_zeros(
    config: dict[str, Any], mentioned: bool, parse: Parse
) -> None:
    """The document of 2020 says that it is; Keras 2 did not do it either."""
    parsed = parse(_recurrent(**config))
    assert ((f"{FIRST}/config/bias_initializer", "suspicious") in _notices(parsed)) is mentioned


def test_time_major_says_what_to_do_instead(fault: FindFault) -> None:
    found = fault(_recurrent(time_major=True))
    assert (found.pointer, found.code) == (f"{FIRST}/config/time_major", "not_supported")
    assert "Permute" in found.message


def test_repeat_vector(parse: Parse, fault: FindFault) -> None:
    layers = [_layer("Dense", units=32, input_dim=12), _layer("RepeatVector", n=3), _layer("LSTM", units=1)]
    assert parse(_series(*layers)).spec.model.config["layers"][2] == _layer("RepeatVector", n=3)
    layers[1] = _layer("RepeatVector", n=3.5)
    assert fault(_series(*layers)).pointer == "/model/config/layers/1/config/n"


def test_what_nadam_took_for_its_momentum_is_no_decay_of_the_rate(changed: Changed, parse: Parse) -> None:
    """Keras 2 called it schedule_decay, tf.keras decay; Keras 3 has one fixed value."""
    for old in ("schedule_decay", "decay"):
        parsed = parse(changed("/compile/optimizer", _layer("Nadam", lr=0.002, **{old: 0.004})))
        assert parsed.spec.compile.optimizer.config["learning_rate"] == 0.002
        assert (f"/compile/optimizer/config/{old}", "ignored") in _notices(parsed)


@pytest.mark.parametrize("rate", [0, -1, 0.0])
def test_a_rate_of_nothing_is_a_fault_where_it_stands(rate: float, changed: Changed, fault: FindFault) -> None:
    for config in ({"lr": rate}, {"lr": rate, "decay": 0.1}):
        found = fault(changed("/compile/optimizer", _layer("Adam", **config)))
        assert (found.pointer, found.code) == ("/compile/optimizer/config/lr", "out_of_range")
        assert (found.received, found.expected) == (rate, "a number > 0")


def test_decay_is_a_schedule(changed: Changed, parse: Parse, fault: FindFault) -> None:
    """Keras 2: lr / (1 + decay * step)."""
    config = parse(changed("/compile/optimizer", _layer("SGD", lr=0.5, decay=0.01))).spec.compile.optimizer.config
    assert config["learning_rate"]["class_name"] == "InverseTimeDecay"
    assert config["learning_rate"]["config"] == {"initial_learning_rate": 0.5, "decay_steps": 1, "decay_rate": 0.01}
    default = parse(changed("/compile/optimizer", _layer("SGD", decay=0.01))).spec.compile.optimizer.config
    assert default["learning_rate"]["config"]["initial_learning_rate"] == 0.01
    parsed = parse(changed("/compile/optimizer", _layer("Adam", decay=0.0, epsilon=None)))
    assert parsed.spec.compile.optimizer.config["learning_rate"] == 0.001
    assert {notice.code for notice in parsed.notices} == {"ignored", "translated"}
    assert (
        fault(changed("/compile/optimizer", _layer("Adam", decay="0.1"))).pointer == "/compile/optimizer/config/decay"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kullback_leibler_divergence", "kl_divergence"),
        ("cosine_proximity", "cosine_similarity"),
        ("logcosh", "log_cosh"),
        ("huber_loss", "huber"),
    ],
)
def test_losses_under_old_names(old: str, new: str, changed: Changed, parse: Parse) -> None:
    parsed = parse(changed("/compile/loss", old))
    assert parsed.spec.compile.loss == new
    assert _notices(parsed) == [("/compile/loss", "translated")]


@pytest.mark.parametrize(
    ("old", "new"),
    [("kullback_leibler_divergence", "kl_divergence"), ("kld", "kl_divergence"), ("logcosh", "log_cosh_error")],
)
def test_metrics_under_old_names(old: str, new: str, changed: Changed, parse: Parse) -> None:
    """Not those of losses: a loss is a function there, and a metric a class."""
    job = changed("/compile/metrics", [old]) | {
        "callbacks": [_layer("EarlyStopping", monitor=f"val_{old}", mode="min")]
    }
    parsed = parse(job)
    assert parsed.spec.compile.metrics == [new]
    assert parsed.spec.callbacks[0].config["monitor"] == f"val_{new}"
    assert _notices(parsed)[0] == ("/compile/metrics/0", "translated")


def test_a_loss_that_is_no_metric_is_not_one_under_its_old_name(changed: Changed, fault: FindFault) -> None:
    assert fault(changed("/compile/metrics", ["huber_loss"])).code == "unknown_name"


def test_the_reduction_of_a_keras_2_loss(changed: Changed, parse: Parse) -> None:
    """`loss.get_config()` of tf_keras 2.21."""
    config = {"reduction": "auto", "name": "categorical_crossentropy", "fn": "categorical_crossentropy"}
    parsed = parse(changed("/compile/loss", _layer("CategoricalCrossentropy", **config, from_logits=False)))
    assert parsed.spec.compile.loss.config["reduction"] == "sum_over_batch_size"
    assert sorted(_notices(parsed)) == [
        ("/compile/loss/config/fn", "ignored"),
        ("/compile/loss/config/reduction", "translated"),
    ]


KERNEL = "/model/config/layers/1/config/kernel"


@pytest.mark.parametrize(
    ("argument", "written", "read"),
    [
        ("regularizer", "l1_l2", _layer("L1L2", l1=0.01, l2=0.01)),
        ("regularizer", _layer("l1_l2", l1=0.1), _layer("L1L2", l1=0.1)),
        ("regularizer", _layer("l2", l=0.1), _layer("L2", l2=0.1)),
        ("regularizer", _layer("l1", l=0.1), _layer("L1", l1=0.1)),
        ("constraint", "maxnorm", "max_norm"),
        ("constraint", "nonneg", "non_neg"),
        ("constraint", _layer("maxnorm", m=3), _layer("MaxNorm", max_value=3)),
        ("initializer", _layer("constant", value=0.5), _layer("Constant", value=0.5)),
    ],
)
def test_parts_of_layers_under_old_names(
    argument: str, written: Any, read: Any, changed: Changed, parse: Parse
) -> None:
    parsed = parse(changed(f"{KERNEL}_{argument}", written))
    assert parsed.spec.model.config["layers"][1]["config"][f"kernel_{argument}"] == read


@pytest.mark.parametrize(("old", "new"), [("CuDNNLSTM", "LSTM"), ("CuDNNGRU", "GRU")])
def test_layers_under_old_names(old: str, new: str, parse: Parse) -> None:
    job = _recurrent()
    job["model"]["config"]["layers"][0]["class_name"] = old
    parsed = parse(job)
    assert parsed.spec.model.config["layers"][1] == _layer(new, units=3)
    assert (f"{FIRST}/class_name", "translated") in _notices(parsed)


def test_units_may_be_a_whole_number_with_a_point(parse: Parse, fault: FindFault) -> None:
    parsed = parse(_series(_layer("Dense", units=10.0, input_dim=12)))
    assert parsed.spec.model.config["layers"][1] == _layer("Dense", units=10)
    assert (f"{FIRST}/config/units", "translated") in _notices(parsed)
    assert fault(_series(_layer("Dense", units=10.5, input_dim=12))).code == "wrong_type"


@pytest.mark.parametrize(
    "layer",
    [
        _layer("RepeatVector", n=3.0),
        _layer("Dense", units=3, input_dim=12.0),
        _layer("Dense", units=3, input_shape=[12.0]),
        _layer("Dropout", rate=0.5, seed=3.0),
    ],
)
def test_so_may_every_whole_number(layer: dict[str, Any], parse: Parse) -> None:
    parsed = parse(_series(layer))
    assert "translated" in {notice.code for notice in parsed.notices}
    assert ".0" not in json.dumps(parsed.spec.model.config)


def test_a_thresholded_relu_is_a_relu(parse: Parse) -> None:
    parsed = parse(_series(_layer("Dense", units=3, input_dim=12), _layer("ThresholdedReLU", theta=0.5)))
    assert parsed.spec.model.config["layers"][2] == _layer("ReLU", threshold=0.5)


@pytest.mark.parametrize(
    ("logged", "monitor", "read"),
    [("accuracy", "val_acc", "val_accuracy"), ("acc", "val_accuracy", "val_acc"), ("acc", "val_acc", "val_acc")],
)
def test_accuracy_is_matched_to_what_is_logged(
    logged: str, monitor: str, read: str, changed: Changed, parse: Parse
) -> None:
    job = changed("/compile/metrics", [logged])
    filepath = f"{{epoch:02d}}-{{{monitor}:.2f}}.keras"
    job["callbacks"] = [
        _layer("EarlyStopping", monitor=monitor),
        _layer("ModelCheckpoint", monitor=monitor, filepath=filepath),
    ]
    parsed = parse(job)
    assert [callback.config["monitor"] for callback in parsed.spec.callbacks] == [read, read]
    assert parsed.spec.callbacks[1].config["filepath"] == f"{{epoch:02d}}-{{{read}:.2f}}.keras"
    translated = [] if read == monitor else ["0/config/monitor", "1/config/monitor", "1/config/filepath"]
    assert _notices(parsed) == [(f"/callbacks/{place}", "translated") for place in translated]


def test_accuracy_of_one_of_several_outputs() -> None:
    names = ("loss", "a_accuracy", "b_acc", "val_a_accuracy", "val_b_acc")
    assert [logged_as(name, names) for name in ("a_acc", "val_a_acc", "val_b_accuracy", "b_loss", "macc")] == [
        "a_accuracy", "val_a_accuracy", "val_b_acc", "b_loss", "macc",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("callback", "read"),
    [
        (_layer("TensorBoard", log_dir="./logs"), "logs"),
        (_layer("TensorBoard", log_dir="./logs/"), "logs"),
        (_layer("CSVLogger", filename="./log.csv"), "log.csv"),
        (_layer("ModelCheckpoint", filepath="./{epoch:02d}.keras"), "{epoch:02d}.keras"),
    ],
)
def test_this_folder_is_the_jobs_own(callback: dict[str, Any], read: str, changed: Changed, parse: Parse) -> None:
    parsed = parse(changed("/callbacks/0", callback))
    assert read in parsed.spec.callbacks[0].config.values()
    assert [code for _, code in _notices(parsed)] == ["translated"]


def test_what_is_no_template_is_shown_as_it_was_sent(changed: Changed, fault: FindFault) -> None:
    found = fault(changed("/callbacks/0", _layer("ModelCheckpoint", filepath="../{epoch:02d}.h5")))
    assert (found.code, found.received) == ("bad_template", "../{epoch:02d}.h5")


def test_the_learning_rate_was_logged_as_lr(changed: Changed, parse: Parse) -> None:
    job = changed("/callbacks/0", _layer("ReduceLROnPlateau"))
    job["callbacks"].append(_layer("EarlyStopping", monitor="lr", mode="min"))
    assert parse(job).spec.callbacks[1].config["monitor"] == "learning_rate"
