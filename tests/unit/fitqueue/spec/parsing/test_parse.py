from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitqueue.errors import Fault, InvalidSpec
from fitqueue.spec import ParsedJob, parse_job, parse_json, read_job

Changed = Callable[[str, Any], dict[str, Any]]
Parse = Callable[[Any], ParsedJob]
FindFault = Callable[[Any], Fault]
FindFaults = Callable[[Any], list[Fault]]

EXAMPLES = sorted((Path(__file__).parents[5] / "examples").glob("*.json"))


def test_defaults_are_filled_in(parse: Parse, cnn: dict[str, Any]) -> None:
    spec = parse(cnn).spec
    assert spec.to_json() | {"seed": None} == {
        "name": None,
        "keep": False,
        "project": "lab",
        "model": {
            "class_name": "Sequential",
            "config": {
                "layers": [
                    {"class_name": "InputLayer", "config": {"shape": [8, 8, 1]}},
                    *[{"config": {}, **layer} for layer in cnn["model"]["config"]["layers"][1:]],
                ]
            },
        },
        "compile": cnn["compile"]
        | {
            "optimizer": spec.compile.optimizer.model_dump(),
            "weighted_metrics": [],
            "loss_weights": None,
            "jit_compile": "auto",
            "steps_per_execution": 1,
            "dtype_policy": "float32",
        },
        "data": cnn["data"]
        | {
            "sample_weight": None,
            "shuffle_split": False,
            "validation": cnn["data"]["validation"] | {"sample_weight": None},
        },
        "fit": {
            "epochs": 2,
            "batch_size": 32,
            "shuffle": True,
            "class_weight": None,
            "steps_per_epoch": None,
            "validation_steps": None,
            "validation_batch_size": None,
            "validation_freq": 1,
            "validation_split": 0.0,
            "verbose": 2,
        },
        "callbacks": [],
        "resources": {"gpus": 0, "pool": "default", "strategy": "auto"},
        "preemptible": False,
        "priority": 0,
        "seed": None,
        "max_runtime_seconds": None,
        "max_queued_seconds": None,
        "max_attempts": 5,
        "deterministic": False,
        "initial_weights": None,
        "save_optimizer": False,
        "labels": {},
    }
    assert spec.compile.optimizer.class_name == "Adam"
    assert spec.compile.optimizer.config["learning_rate"] == 0.001
    assert spec.seed is not None


def test_a_seed_is_drawn_unless_it_is_given(parse: Parse, changed: Changed, cnn: dict[str, Any]) -> None:
    assert parse(cnn).spec.seed != parse(cnn).spec.seed
    assert parse(changed("/seed", 7)).spec.seed == 7


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_valid_and_stored_losslessly(path: Path, parse: Parse) -> None:
    spec = parse(parse_json(path.read_bytes())).spec
    assert read_job(spec.to_json()) == spec
    parsed_again = parse(spec.to_json())
    assert parsed_again.spec == spec
    assert parsed_again.notices == []


def test_examples_exist() -> None:
    assert {path.name for path in EXAMPLES} >= {"digits_cnn.json", "mnist_cnn.json"}


def test_read_job_ignores_the_fields_of_a_newer_version(parse: Parse, cnn: dict[str, Any]) -> None:
    spec = parse(cnn).spec
    stored = spec.to_json()
    stored["colour"] = stored["fit"]["colour"] = stored["data"]["prepare"]["x"][0]["colour"] = "blue"
    assert read_job(stored) == spec


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("/fit/epochs", "3", "wrong_type"),
        ("/fit/epochs", True, "wrong_type"),
        ("/fit/epochs", 2.0, "wrong_type"),
        ("/fit/epochs", 0, "out_of_range"),
        ("/fit/epochs", 10**9, "out_of_range"),
        ("/fit/batch_size", -1, "out_of_range"),
        ("/fit/shuffle", 1, "wrong_type"),
        ("/fit/verbose", 3, "unknown_name"),
        ("/fit/epoch", 3, "unknown_field"),
        ("/fit", 3, "wrong_type"),
        ("/colour", "blue", "unknown_field"),
        ("/name", "x" * 129, "out_of_range"),
        ("/name", "a\nb", "bad_name"),
        ("/name", 5, "wrong_type"),
        ("/model", ..., "missing"),
        ("/model", "not json", "wrong_type"),
        ("/model", [], "wrong_type"),
        ("/compile", ..., "missing"),
        ("/compile", [], "wrong_type"),
        ("/compile/loss", ..., "missing"),
        ("/compile/metrics", "accuracy", "wrong_type"),
        ("/compile/loss_weights", [1, 2], "wrong_type"),
        ("/compile/loss_weightz", [1], "unknown_field"),
        ("/data", ..., "missing"),
        ("/data/dataset", "mnits", "unknown_dataset"),
        ("/data/dataset", 5, "wrong_type"),
        ("/data/x", "x_trian", "unknown_array"),
        ("/data/validation/y", "z", "unknown_array"),
        ("/data/prepare/x/0", {"reshape": [8, 9]}, "bad_shape"),
        ("/data/prepare/x/0/resize", [8, 8], "unknown_field"),
        ("/data/prepare/y/0/one_hot", "10", "wrong_type"),
        ("/callbacks", {}, "wrong_type"),
        ("/resources/gpus", -1, "out_of_range"),
        ("/resources/pool", "A B", "bad_name"),
        ("/resources/strategy", "tpu", "unknown_name"),
        ("/priority", 101, "out_of_range"),
        ("/seed", -1, "out_of_range"),
        ("/seed", 2**32, "out_of_range"),
        ("/max_attempts", 0, "out_of_range"),
        ("/max_runtime_seconds", 0, "out_of_range"),
        ("/labels/team", 5, "wrong_type"),
        ("/labels/a b", "c", "bad_name"),
    ],
)
def test_a_fault_has_a_pointer_and_a_code(
    path: str, value: Any, code: str, changed: Changed, find_faults: FindFaults
) -> None:
    faults = find_faults(changed(path, value))
    assert (path, code) in {(fault.pointer, fault.code) for fault in faults}
    assert all(fault.message for fault in faults)


def test_pointers_are_escaped(cnn: dict[str, Any], only_fault: FindFault) -> None:
    assert only_fault(cnn | {"a/b~c": 1}).pointer == "/a~1b~0c"


def test_an_unknown_field_suggests_the_nearest_known_one(changed: Changed, only_fault: FindFault) -> None:
    fault = only_fault(changed("/fit/epoch", 3))
    assert "'epochs'" in fault.message
    assert "'batch_size'" in str(fault.expected)


def test_all_faults_are_reported_at_once(cnn: dict[str, Any], find_faults: FindFaults) -> None:
    cnn["fit"]["epochs"] = "3"
    cnn["priorty"] = 1
    cnn["compile"]["optimizer"] = {"class_name": "Adma"}
    cnn["compile"]["loss"] = "categorical_crossentrpy"
    cnn["model"]["config"]["layers"][1]["config"]["filters"] = 4.5
    cnn["data"]["dataset"] = "mnits"
    cnn["callbacks"] = [{"class_name": "EarlyStopping", "config": {"patience": "3"}}]
    assert {(fault.pointer, fault.code) for fault in find_faults(cnn)} == {
        ("/fit/epochs", "wrong_type"),
        ("/priorty", "unknown_field"),
        ("/compile/optimizer/class_name", "unknown_class"),
        ("/compile/loss", "unknown_name"),
        ("/model/config/layers/1/config/filters", "wrong_type"),
        ("/data/dataset", "unknown_dataset"),
        ("/callbacks/0/config/patience", "wrong_type"),
    }


def test_other_faults_do_not_hide_those_of_callbacks(cnn: dict[str, Any], find_faults: FindFaults) -> None:
    cnn["compile"]["optimizer"] = "adma"
    cnn["data"]["prepare"]["x"] = [{"scael": 2}]
    cnn["callbacks"] = [
        {"class_name": "EarlyStopping", "config": {"monitor": "val_los"}},
        {"class_name": "ModelCheckpoint", "config": {"filepath": "../{epoch}.keras"}},
    ]
    assert {(fault.pointer, fault.code) for fault in find_faults(cnn)} >= {
        ("/compile/optimizer", "unknown_class"),
        ("/callbacks/0/config/monitor", "not_logged"),
        ("/callbacks/1/config/filepath", "bad_template"),
    }


@pytest.mark.parametrize("raw", [None, [], "x", 3])
def test_a_job_must_be_an_object(raw: Any, only_fault: FindFault) -> None:
    assert only_fault(raw).pointer == ""


def test_a_long_received_value_is_truncated(changed: Changed, only_fault: FindFault) -> None:
    fault = only_fault(changed("/fit/epochs", "x" * 10_000))
    assert str(fault.received).startswith("xxx")
    assert len(str(fault.received)) < 200


def test_only_the_first_faults_are_reported(cnn: dict[str, Any]) -> None:
    cnn |= {f"field{i}": i for i in range(5000)}
    with pytest.raises(InvalidSpec) as raised:
        parse_job(cnn, lambda name: None)
    assert len(raised.value.errors) == 100
    assert "first 100" in raised.value.message


# --- Data and model together ---------------------------------------------------------------------------------------


def _uploaded(**data: Any) -> dict[str, Any]:
    return {
        "model": {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {"units": 1}}]}},
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "data": {"dataset": "mine", "x": "x", "y": "y", **data},
    }


def test_a_model_without_an_input_gets_one_of_the_data_shape(parse: Parse) -> None:
    parsed = parse(_uploaded())
    assert parsed.spec.model.config["layers"][0] == {"class_name": "InputLayer", "config": {"shape": [12]}}
    assert [(notice.pointer, notice.code) for notice in parsed.notices] == [("/model", "filled_in")]


def test_an_uploaded_data_set_is_found_by_id(parse: Parse) -> None:
    assert parse(_uploaded(dataset="ds_1")).spec.data.dataset == "ds_1"


@pytest.mark.parametrize(
    ("data", "pointer", "code"),
    [
        ({"y": "y_short"}, "/data/y", "bad_shape"),
        ({"x": "number"}, "/data/x", "bad_shape"),
        ({"x": "words"}, "/data/x", "bad_shape"),
        ({"validation": {"x": "words", "y": "y"}}, "/data/validation/x", "bad_shape"),
    ],
)
def test_arrays_of_the_wrong_shape(data: dict[str, Any], pointer: str, code: str, only_fault: FindFault) -> None:
    fault = only_fault(_uploaded(**data))
    assert (fault.pointer, fault.code) == (pointer, code)


@pytest.mark.parametrize(
    ("shape", "accepted"),
    [
        ([8, 8, 1], True),
        ([None, None, 1], True),
        ([8, 8], True),
        ([8, 8, 1, 1], True),
        ([28, 28, 1], False),
        ([64], False),
    ],
)
def test_the_input_shape_is_compared_with_the_data(
    shape: list[int], accepted: bool, changed: Changed, find_faults: FindFaults
) -> None:
    """Keras itself adds or drops a last axis of length 1."""
    faults = find_faults(changed("/model/config/layers/0/config/shape", shape))
    assert [fault.pointer for fault in faults] == ([] if accepted else ["/model/config/layers/0"])


def test_validation_data_and_validation_split_conflict(changed: Changed, only_fault: FindFault) -> None:
    assert only_fault(changed("/fit/validation_split", 0.1)).pointer == "/fit/validation_split"


@pytest.mark.parametrize("name", ["epoch", "batch", "loss"])
def test_a_metric_cannot_have_a_name_that_keras_logs(name: str, cnn: dict[str, Any], only_fault: FindFault) -> None:
    cnn["compile"]["metrics"] = [{"class_name": "CategoricalAccuracy", "config": {"name": name}}]
    fault = only_fault(cnn)
    assert (fault.pointer, fault.code) == ("/compile/metrics/0/config/name", "bad_name")


def test_a_fault_of_a_single_metric_points_to_the_metric(cnn: dict[str, Any], only_fault: FindFault) -> None:
    cnn["compile"]["metrics"] = {"dense_1": "accuracyy"}
    assert only_fault(cnn).pointer == "/compile/metrics/dense_1"


@pytest.mark.parametrize("name", ["[by name]", "[single]", "[key]"])
@pytest.mark.parametrize("parent", ["", "/data", "/data/prepare"])
def test_an_unknown_field_may_have_any_name(parent: str, name: str, changed: Changed, only_fault: FindFault) -> None:
    """pydantic gives the location of a fault with names like these between the keys of the job."""
    fault = only_fault(changed(f"{parent}/{name}", 1))
    assert (fault.pointer, fault.code) == (f"{parent}/{name}", "unknown_field")


def test_layers_in_wrappers_are_counted(cnn: dict[str, Any], only_fault: FindFault) -> None:
    inner = {"class_name": "Sequential", "config": {"layers": [{"class_name": "ReLU"}] * 600}}
    wrapped = {"class_name": "TimeDistributed", "config": {"layer": inner}}
    cnn["model"]["config"]["layers"] += [wrapped, wrapped]
    fault = only_fault(cnn)
    assert (fault.pointer, fault.code) == ("/model/config/layers", "too_large")


@pytest.mark.parametrize(
    ("freq", "period", "is_logged"), [(1, 1, True), (2, 1, False), (2, 4, True), ([2, 4], 2, False)]
)
def test_a_filepath_with_a_validation_value_needs_one_at_each_checkpoint(
    freq: Any, period: int, is_logged: bool, cnn: dict[str, Any], parse: Parse, only_fault: FindFault
) -> None:
    cnn["fit"] |= {"epochs": 8, "validation_freq": freq}
    config = {"filepath": "{epoch}-{val_loss:.3f}.keras", "period": period}
    cnn["callbacks"] = [{"class_name": "ModelCheckpoint", "config": config}]
    if is_logged:
        parse(cnn)
    else:
        fault = only_fault(cnn)
        assert (fault.pointer, fault.code) == ("/callbacks/0/config/filepath", "not_logged")


@pytest.mark.parametrize(
    ("freq", "pointer", "message"),
    [
        ("two", "", "Expected an integer."),
        (1.5, "", "Expected an integer."),
        (0, "", "Expected a number of at least 1."),
        ([], "", "Expected a list of at least 1 item."),
        ([1, "two"], "/1", "Expected an integer."),
        ([0, 2], "/0", "Expected a number of at least 1."),
    ],
)
def test_a_wrong_validation_freq(
    freq: Any, pointer: str, message: str, changed: Changed, only_fault: FindFault
) -> None:
    fault = only_fault(changed("/fit/validation_freq", freq))
    assert (fault.pointer, fault.message) == (f"/fit/validation_freq{pointer}", message)


@pytest.mark.parametrize("array", ["x", "y"])
def test_an_array_that_was_left_out_at_the_upload(
    array: str, changed: Callable[..., Any], find_faults: Callable[..., Any]
) -> None:
    arrays = {"dataset": "mine", "x": "sequences", "y": "y", array: "text"}
    [fault] = [fault for fault in find_faults(changed("/data", arrays)) if fault.code == "unknown_array"]
    assert fault.pointer == f"/data/{array}"
    assert fault.message.endswith(
        "was left out when the data set was uploaded: its type is text, and Keras trains on plain numbers."
    )


def test_unknown_fields_are_refused_before_the_rest_is_looked_at(
    changed: Changed, find_faults: FindFaults, cnn: dict[str, Any]
) -> None:
    """A hostile body cannot have the parser look at a large model and at a thousand unknown fields, too."""
    wrong_model = changed("/model/config/layers/1/config", {"unknown": 1})
    pointers = [fault.pointer for fault in find_faults({**wrong_model, "modle": {}})]
    assert pointers[0] == "/modle"
    assert "/model/config/layers/1/config/unknown" in pointers
    faults = find_faults({**wrong_model, **{f"field_{i}": [] for i in range(1000)}})
    assert [fault.pointer for fault in faults] == [f"/field_{i}" for i in range(100)]


@pytest.mark.parametrize("field", ["loss", "metrics", "weighted_metrics"])
def test_of_too_many_outputs_only_those_that_a_job_may_have_are_looked_at(
    field: str, changed: Changed, find_faults: FindFaults
) -> None:
    first = find_faults(changed(f"/compile/{field}", {f"output_{i}": "mse" for i in range(1000)}))[0]
    assert (first.pointer, first.code) == (f"/compile/{field}", "out_of_range")
