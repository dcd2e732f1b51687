"""Lists in the order of a model's inputs and outputs are read as objects by name."""

from typing import Any

import pytest

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.errors import Fault, InvalidSpec
from fitqueue.spec import examine_job, parse_job
from fitqueue.spec.parsing.request_pointers import request_pointer

LABELS = "sparse_categorical_crossentropy"
ARRAYS = {
    "p": ArrayInfo((64, 4), "float32"), "q": ArrayInfo((64, 2), "float32"), "size": ArrayInfo((64, 1), "float32"),
    "kind": ArrayInfo((64,), "int64"), "w": ArrayInfo((64,), "float32"),
}  # fmt: skip
BY_NAME: dict[str, Any] = {
    "compile": {
        "optimizer": "adam", "loss": {"o2": "mse", "o1": LABELS}, "loss_weights": {"o2": 1.0, "o1": 0.2},
        "metrics": {"o2": ["mae"], "o1": ["accuracy"]},
    },
    "data": {
        "dataset": "mine", "x": {"b": "p", "a": "q"}, "y": {"o2": "size", "o1": "kind"},
        "validation": {"x": {"b": "p", "a": "q"}, "y": {"o2": "size", "o1": "kind"}},
    },
}  # fmt: skip
BY_ORDER: dict[str, Any] = {
    "compile": {
        "optimizer": "adam", "loss": ["mse", LABELS], "loss_weights": [1.0, 0.2], "metrics": [["mae"], "accuracy"]},
    "data": {
        "dataset": "mine", "x": ["p", "q"], "y": ["size", "kind"],
        "validation": {"x": ["p", "q"], "y": ["size", "kind"]},
    },
}  # fmt: skip


def layer(class_name: str, name: str, *sources: str, **config: Any) -> dict[str, Any]:
    tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [source, 0, 0]}} for source in sources]
    nodes = [{"args": tensors if len(tensors) == 1 else [tensors], "kwargs": {}}] if tensors else []
    return {"class_name": class_name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def model(inputs: Any = ("b", "a"), outputs: Any = ("o2", "o1")) -> dict[str, Any]:
    layers = [
        layer("InputLayer", "b", shape=[4]), layer("InputLayer", "a", shape=[2]),
        layer("Concatenate", "both", "b", "a"),
        layer("Dense", "o2", "both", units=1), layer("Dense", "o1", "both", units=3, activation="softmax"),
    ]  # fmt: skip
    input_layers, output_layers = (
        {name: [name, 0, 0] for name in names} if isinstance(names, set) else [[name, 0, 0] for name in names]
        for names in (inputs, outputs)
    )
    config = {"layers": layers, "input_layers": input_layers, "output_layers": output_layers}
    return {"class_name": "Functional", "config": config}


def job(base: dict[str, Any] = BY_ORDER, *, of_model: Any = None, **compiled: Any) -> dict[str, Any]:
    return {"model": of_model or model(), **base, "compile": base["compile"] | compiled, "seed": 1}


def spec_of(raw: Any) -> dict[str, Any]:
    return parse_job(raw, lambda name: DatasetInfo(name, ARRAYS)).spec.to_json()


def faults_of(raw: Any) -> list[Fault]:
    with pytest.raises(InvalidSpec) as raised:
        spec_of(raw)
    return raised.value.errors


def sequential(**fields: Any) -> dict[str, Any]:
    """Return a job with one input and one output without names."""
    layers = [{"class_name": "Dense", "config": {"units": 1}}]
    return {
        "model": {"class_name": "Sequential", "config": {"layers": layers}},
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "data": {"dataset": "mine", "x": "p", "y": "size"},
        "seed": 1,
    } | fields


def test_lists_are_read_in_the_order_of_the_model() -> None:
    assert spec_of(job(BY_ORDER)) == spec_of(job(BY_NAME))


def test_outputs_with_keys_are_in_sorted_order() -> None:
    keyed = model(outputs={"o2", "o1"})
    in_sorted_order = {
        "loss": [LABELS, "mse"], "loss_weights": [0.2, 1.0], "metrics": [["accuracy"], ["mae"]],
    }  # fmt: skip
    raw = job(BY_ORDER, of_model=keyed, **in_sorted_order)
    data = raw["data"] | {"y": ["kind", "size"], "validation": {"x": ["p", "q"], "y": ["kind", "size"]}}
    assert spec_of(raw | {"data": data}) == spec_of(job(BY_NAME, of_model=keyed))


def test_a_list_for_the_only_output_holds_its_value() -> None:
    lists = sequential(
        compile={"optimizer": "sgd", "loss": ["mse"], "loss_weights": [0.5], "metrics": [["mae", "mse"]]},
        data={"dataset": "mine", "x": ["p"], "y": ["size"], "sample_weight": ["w"]},
    )
    plain = sequential(
        compile={"optimizer": "sgd", "loss": "mse", "loss_weights": 0.5, "metrics": ["mae", "mse"]},
        data={"dataset": "mine", "x": "p", "y": "size", "sample_weight": "w"},
    )
    assert spec_of(lists) == spec_of(plain)


def test_nulls_in_lists_say_nothing() -> None:
    data = BY_ORDER["data"] | {"sample_weight": [None, "w"]}
    spec = spec_of(job(metrics=[None, ["accuracy"]], loss_weights=[None, 0.2]) | {"data": data})
    assert spec["compile"]["metrics"] == {"o2": [], "o1": ["accuracy"]}
    assert spec["compile"]["loss_weights"] == {"o2": 1.0, "o1": 0.2}
    assert spec["data"]["sample_weight"] == {"o1": "w"}


@pytest.mark.parametrize("loss", [["mse", None], {"o2": "mse", "o1": None}])
def test_an_output_without_a_loss(loss: Any) -> None:
    parsed = parse_job(job(loss=loss), lambda name: DatasetInfo(name, ARRAYS))
    assert parsed.spec.to_json()["compile"]["loss"] == {"o2": "mse", "o1": None}
    assert "o2_loss" not in parsed.spec.logged_names
    assert "o1_accuracy" in parsed.spec.logged_names
    stored = parsed.spec.to_json()
    assert spec_of(stored) == stored


@pytest.mark.parametrize("loss", [[None, None], {"o2": None, "o1": None}])
def test_one_output_must_have_a_loss(loss: Any) -> None:
    [fault] = faults_of(job(loss=loss))
    assert (fault.pointer, fault.code) == ("/compile/loss", "missing")


def test_a_null_loss_is_not_a_missing_one() -> None:
    assert [(fault.pointer, fault.code) for fault in faults_of(job(loss={"o2": "mse"}, loss_weights=None))] == [
        ("/compile/loss", "missing")
    ]


@pytest.mark.parametrize("monitor", ["val_o1_loss", "val_o2_loss"])
def test_the_only_loss_is_not_logged_apart(monitor: str) -> None:
    raw = job(loss=["mse", None]) | {"callbacks": [{"class_name": "EarlyStopping", "config": {"monitor": monitor}}]}
    assert [(fault.pointer, fault.code) for fault in faults_of(raw)] == [("/callbacks/0/config/monitor", "not_logged")]


@pytest.mark.parametrize(
    ("compiled", "pointer", "code"),
    [
        ({"loss": ["mse"]}, "/compile/loss", "wrong_type"),
        ({"loss": ["mse", LABELS, "mae"]}, "/compile/loss", "wrong_type"),
        ({"loss": []}, "/compile/loss", "wrong_type"),
        ({"loss": ["mse", "msee"]}, "/compile/loss/1", "unknown_name"),
        ({"loss": ["mse", 3]}, "/compile/loss/1", "wrong_type"),
        ({"loss_weights": [1.0]}, "/compile/loss_weights", "wrong_type"),
        ({"loss_weights": [1.0, "0.2"]}, "/compile/loss_weights/1", "wrong_type"),
        ({"metrics": ["mae"]}, "/compile/metrics", "wrong_type"),
        ({"metrics": [["mae"], ["maee"]]}, "/compile/metrics/1/0", "unknown_name"),
        ({"metrics": [["mae"], "maee"]}, "/compile/metrics/1", "unknown_name"),
        ({"metrics": [["mae"], [None]]}, "/compile/metrics/1/0", "wrong_type"),
        ({"loss": "mse"}, "/compile/loss_weights", "conflict"),
    ],
)
def test_a_fault_points_into_the_list(compiled: dict[str, Any], pointer: str, code: str) -> None:
    assert [(fault.pointer, fault.code) for fault in faults_of(job(**compiled))] == [(pointer, code)]


@pytest.mark.parametrize(
    ("data", "faults"),
    [
        ({"x": ["p", "r"]}, [("/data/x/1", "unknown_array")]),
        ({"x": ["p", 3]}, [("/data/x/1", "wrong_type")]),
        ({"x": ["p"]}, [("/data/x", "wrong_type")]),
        ({"y": ["size", "kind", "w"]}, [("/data/y", "wrong_type")]),
        ({"y": ["size", None]}, [("/data/y/1", "wrong_type")]),
        ({"validation": {"x": ["p", "q"], "y": ["size", "r"]}}, [("/data/validation/y/1", "unknown_array")]),
        ({"sample_weight": ["w", "r"]}, [("/data/sample_weight/1", "unknown_array")]),
    ],
)
def test_a_fault_of_an_array_points_into_the_list(data: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    raw = job() | {"data": BY_ORDER["data"] | data}
    assert [(fault.pointer, fault.code) for fault in faults_of(raw)] == faults


def test_inputs_with_keys_need_names() -> None:
    """Keras refuses a list for them, in either order."""
    raw = job(BY_ORDER, of_model=model(inputs={"b", "a"}))
    assert ("/data/x", "wrong_type") in {(fault.pointer, fault.code) for fault in faults_of(raw)}


def test_outputs_that_share_a_name_cannot_be_told_apart() -> None:
    raw = job(BY_ORDER, of_model=model(outputs=("o2", "o2")))
    assert "share its name" in faults_of(raw)[0].message


def test_a_faulty_model_makes_no_list_faulty() -> None:
    raw = job()
    raw["model"]["config"]["layers"][3]["config"]["units"] = "one"
    assert [fault.pointer for fault in faults_of(raw)] == ["/model/config/layers/3/config/units"]


@pytest.mark.parametrize(
    "field", [{"loss": ["mse", "mae"]}, {"loss_weights": [1, 2]}, {"loss": ["mse", "mae"], "loss_weights": [1, 2]}]
)
def test_one_output_has_no_list_of_two(field: dict[str, Any]) -> None:
    faults = faults_of(sequential(compile={"optimizer": "sgd", "loss": "mse"} | field))
    assert {fault.pointer for fault in faults} == {f"/compile/{name}" for name in field}


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("/compile/loss/o1", "/compile/loss/1"),
        ("/compile/metrics/o2/0", "/compile/metrics/0/0"),
        ("/compile/metrics/o1/0", "/compile/metrics/1"),
        ("/data/x/a", "/data/x/1"),
        ("/data/sample_weight/o1", "/data/sample_weight/1"),
    ],
)
def test_pointers_of_the_model_check_lead_into_the_list(pointer: str, expected: str) -> None:
    raw = job() | {"data": BY_ORDER["data"] | {"sample_weight": [None, "w"]}}
    stored = spec_of(raw)
    assert request_pointer(pointer, raw, stored) == expected


def test_partial_jobs_keep_a_null_loss_apart_from_a_faulty_one() -> None:
    def partial(loss: Any) -> Any:
        return examine_job(job(loss=loss), lambda name: DatasetInfo(name, ARRAYS)).partial.compile

    assert partial(["mse", None]).complete_loss == {"o2": "mse", "o1": None}
    assert partial(["mse", "msee"]).complete_loss is None
