"""Classes, functions and logged values under old names."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from fitqueue.spec.keras_objects.legacy.logged_names import logged_as
from tests.unit.fitqueue.spec.jobs import layer, lstm_job, notices_of, sequential_job

Changed = Callable[[str, Any], dict[str, Any]]
Parse = Callable[[Any], ParsedJob]
FindFault = Callable[[Any], Fault]

FIRST = "/model/config/layers/0"


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
    assert notices_of(parsed) == [("/compile/loss", "translated")]


@pytest.mark.parametrize(
    ("old", "new"),
    [("kullback_leibler_divergence", "kl_divergence"), ("kld", "kl_divergence"), ("logcosh", "log_cosh_error")],
)
def test_metrics_under_old_names(old: str, new: str, changed: Changed, parse: Parse) -> None:
    """Not those of losses: a loss is a function there, and a metric a class."""
    job = changed("/compile/metrics", [old]) | {"callbacks": [layer("EarlyStopping", monitor=f"val_{old}", mode="min")]}
    parsed = parse(job)
    assert parsed.spec.compile.metrics == [new]
    assert parsed.spec.callbacks[0].config["monitor"] == f"val_{new}"
    assert notices_of(parsed)[0] == ("/compile/metrics/0", "translated")


def test_a_loss_that_is_not_a_metric_is_not_one_under_its_old_name_either(
    changed: Changed, only_fault: FindFault
) -> None:
    assert only_fault(changed("/compile/metrics", ["huber_loss"])).code == "unknown_name"


KERNEL = "/model/config/layers/1/config/kernel"


@pytest.mark.parametrize(
    ("argument", "written", "read"),
    [
        ("regularizer", "l1_l2", layer("L1L2", l1=0.01, l2=0.01)),
        ("regularizer", layer("l1_l2", l1=0.1), layer("L1L2", l1=0.1)),
        ("regularizer", layer("l2", l=0.1), layer("L2", l2=0.1)),
        ("regularizer", layer("l1", l=0.1), layer("L1", l1=0.1)),
        ("constraint", "maxnorm", "max_norm"),
        ("constraint", "nonneg", "non_neg"),
        ("constraint", layer("maxnorm", m=3), layer("MaxNorm", max_value=3)),
        ("initializer", layer("constant", value=0.5), layer("Constant", value=0.5)),
    ],
)
def test_regularizers_constraints_and_initializers_under_old_names(
    argument: str, written: Any, read: Any, changed: Changed, parse: Parse
) -> None:
    parsed = parse(changed(f"{KERNEL}_{argument}", written))
    assert parsed.spec.model.config["layers"][1]["config"][f"kernel_{argument}"] == read


@pytest.mark.parametrize(("old", "new"), [("CuDNNLSTM", "LSTM"), ("CuDNNGRU", "GRU")])
def test_layers_under_old_names(old: str, new: str, parse: Parse) -> None:
    job = lstm_job()
    job["model"]["config"]["layers"][0]["class_name"] = old
    parsed = parse(job)
    assert parsed.spec.model.config["layers"][1] == layer(new, units=3)
    assert (f"{FIRST}/class_name", "translated") in notices_of(parsed)


def test_a_thresholded_relu_is_read_as_a_relu(parse: Parse) -> None:
    parsed = parse(sequential_job(layer("Dense", units=3, input_dim=12), layer("ThresholdedReLU", theta=0.5)))
    assert parsed.spec.model.config["layers"][2] == layer("ReLU", threshold=0.5)


@pytest.mark.parametrize(
    ("logged", "monitor", "read"),
    [("accuracy", "val_acc", "val_accuracy"), ("acc", "val_accuracy", "val_acc"), ("acc", "val_acc", "val_acc")],
)
def test_accuracy_is_read_as_the_name_that_is_logged(
    logged: str, monitor: str, read: str, changed: Changed, parse: Parse
) -> None:
    job = changed("/compile/metrics", [logged])
    filepath = f"{{epoch:02d}}-{{{monitor}:.2f}}.keras"
    job["callbacks"] = [
        layer("EarlyStopping", monitor=monitor),
        layer("ModelCheckpoint", monitor=monitor, filepath=filepath),
    ]
    parsed = parse(job)
    assert [callback.config["monitor"] for callback in parsed.spec.callbacks] == [read, read]
    assert parsed.spec.callbacks[1].config["filepath"] == f"{{epoch:02d}}-{{{read}:.2f}}.keras"
    translated = [] if read == monitor else ["0/config/monitor", "1/config/monitor", "1/config/filepath"]
    assert notices_of(parsed) == [(f"/callbacks/{place}", "translated") for place in translated]


def test_accuracy_of_one_of_several_outputs() -> None:
    names = ("loss", "a_accuracy", "b_acc", "val_a_accuracy", "val_b_acc")
    assert [logged_as(name, names) for name in ("a_acc", "val_a_acc", "val_b_accuracy", "b_loss", "macc")] == [
        "a_accuracy", "val_a_accuracy", "val_b_acc", "b_loss", "macc",
    ]  # fmt: skip


def test_lr_is_read_as_the_logged_learning_rate(changed: Changed, parse: Parse) -> None:
    job = changed("/callbacks/0", layer("ReduceLROnPlateau"))
    job["callbacks"].append(layer("EarlyStopping", monitor="lr", mode="min"))
    assert parse(job).spec.callbacks[1].config["monitor"] == "learning_rate"
