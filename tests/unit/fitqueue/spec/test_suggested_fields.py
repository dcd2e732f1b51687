"""What a message suggests for a field that is misspelt, or in another part of the job."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault

Changed = Callable[[str, Any], dict[str, Any]]
FindFault = Callable[[Any], Fault]


@pytest.mark.parametrize(
    ("path", "suggestion"),
    [
        ("/fit/validation_data", "'data.validation'"),
        ("/fit/callbacks", "'callbacks' at the top of the job"),
        ("/fit/x", "'data.x'"),
        ("/fit/sample_weight", "'data.sample_weight'"),
        ("/fit/optimizer", "'compile.optimizer'"),
        ("/fit/epohcs", "'epochs'"),
        ("/fit/nb_epoch", "'fit.epochs'"),
        ("/compile/epochs", "'fit.epochs'"),
        ("/compile/lr", "'compile.optimizer.config.learning_rate'"),
        ("/compile/optimiser", "'optimizer'"),
        ("/data/labels", "'data.y'"),
        ("/data/target", "'data.y'"),
        ("/data/x_train", "'data.x'"),
        ("/data/val", "'data.validation'"),
        ("/data/validation/x_test", "'data.validation.x'"),
        ("/data/validation/labels", "'data.validation.y'"),
        ("/y_train", "'data.y'"),
        ("/dataset", "'data.dataset'"),
        ("/fit/dataset", "'data.dataset'"),
        ("/layers", "'model'"),
        ("/data/validation_split", "'fit.validation_split'"),
        ("/epochs", "'fit.epochs'"),
        ("/optimizer", "'compile.optimizer'"),
        ("/loss", "'compile.loss'"),
        ("/gpus", "'resources.gpus'"),
        ("/callback", "'callbacks'"),
        ("/model/config/layers/1/filters", "'config.filters'"),
        ("/callbacks/0/patience", "'config.patience'"),
    ],
)
def test_a_field_in_another_place(
    path: str, suggestion: str, changed: Changed, find_faults: Callable[..., Any]
) -> None:
    job = changed("/callbacks", [{"class_name": "EarlyStopping", "config": {}}])
    *keys, last = path.removeprefix("/").split("/")
    place: Any = job
    for key in keys:
        place = place[int(key) if isinstance(place, list) else key]
    place[last] = 1
    [fault] = [fault for fault in find_faults(job) if fault.code == "unknown_field"]
    assert fault.pointer == path
    assert fault.message.rstrip("?").endswith(f"id you mean {suggestion}")


def test_a_word_that_is_like_none_gets_no_suggestion(changed: Changed, only_fault: FindFault) -> None:
    assert only_fault(changed("/fit/zzz", 1)).message == "Unknown field 'zzz'."


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("/name", "a\nb", "a string without control characters"),
        ("/resources", {"pool": "A B"}, "lower-case letters"),
        ("/labels", {"a b": "c"}, "letters, digits, dots"),
        ("/fit/class_weight", {"cat": 2.0}, "the number of a class as a string"),
        ("/model/config/layers/1/config/name", "a b", "letters from a to z"),
    ],
)
def test_a_message_has_words_and_no_regular_expression(
    path: str, value: Any, words: str, changed: Changed, only_fault: FindFault
) -> None:
    fault = only_fault(changed(path, value))
    assert fault.code == "bad_name"
    assert words in fault.message
    assert not set("^$\\[{*") & set(fault.message + str(fault.expected))


def test_class_weights_by_output_of_a_sequential(changed: Changed, only_fault: FindFault) -> None:
    fault = only_fault(changed("/fit/class_weight", {"o2": {"0": 1, "1": 2}}))
    assert (fault.pointer, fault.code) == ("/fit/class_weight", "unknown_name")
    assert "give its class weights without one" in fault.message
