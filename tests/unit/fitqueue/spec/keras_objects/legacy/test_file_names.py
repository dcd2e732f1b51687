"""Names of files in callbacks."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from tests.unit.fitqueue.spec.jobs import layer, notices_of

Changed = Callable[[str, Any], dict[str, Any]]
Parse = Callable[[Any], ParsedJob]
FindFault = Callable[[Any], Fault]


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
def test_file_endings_of_keras_2(
    written: str, weights_only: bool, read: str, translated: bool, changed: Changed, parse: Parse
) -> None:
    callback = layer("ModelCheckpoint", filepath=written, save_weights_only=weights_only, period=2)
    parsed = parse(changed("/callbacks/0", callback))
    assert parsed.spec.callbacks[0].config["filepath"] == read
    assert parsed.spec.callbacks[0].config["period"] == 2
    assert notices_of(parsed) == ([("/callbacks/0/config/filepath", "translated")] if translated else [])


@pytest.mark.parametrize(
    ("callback", "read"),
    [
        (layer("TensorBoard", log_dir="./logs"), "logs"),
        (layer("TensorBoard", log_dir="./logs/"), "logs"),
        (layer("CSVLogger", filename="./log.csv"), "log.csv"),
        (layer("ModelCheckpoint", filepath="./{epoch:02d}.keras"), "{epoch:02d}.keras"),
    ],
)
def test_the_current_folder_is_stripped(callback: dict[str, Any], read: str, changed: Changed, parse: Parse) -> None:
    parsed = parse(changed("/callbacks/0", callback))
    assert read in parsed.spec.callbacks[0].config.values()
    assert [code for _, code in notices_of(parsed)] == ["translated"]


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("logs/fit/20200101-120000", "logs-fit-20200101-120000"),
        ("logs/train.csv", "logs-train.csv"),
        ("/tmp/x", "tmp-x"),
        ("../x", "x"),
        ("../../etc/passwd", "etc-passwd"),
        ("a/../b", "a-b"),
        ("~/logs", "logs"),
        ("gs://bucket/x", "bucket-x"),
        ("C:\\logs\\fit", "logs-fit"),
        (".hidden", "hidden"),
        ("logs//fit/", "logs-fit"),
        ("日志/训练 1.csv", "日志-训练 1.csv"),
    ],
)
@pytest.mark.parametrize(("class_name", "argument"), [("TensorBoard", "log_dir"), ("CSVLogger", "filename")])
def test_folders_are_joined_into_a_label(
    class_name: str, argument: str, path: str, label: str, changed: Changed, parse: Parse
) -> None:
    parsed = parse(changed("/callbacks/0", layer(class_name, **{argument: path})))
    assert parsed.spec.callbacks[0].config[argument] == label
    assert notices_of(parsed) == [(f"/callbacks/0/config/{argument}", "translated")]


@pytest.mark.parametrize("path", [".", "./", "/", ".."])
def test_a_log_dir_without_a_name_gets_keras_s_own(path: str, changed: Changed, parse: Parse) -> None:
    parsed = parse(changed("/callbacks/0", layer("TensorBoard", log_dir=path)))
    assert parsed.spec.callbacks[0].config["log_dir"] == "logs"


def test_an_invalid_template_is_reported_as_it_was_sent(changed: Changed, only_fault: FindFault) -> None:
    fault = only_fault(changed("/callbacks/0", layer("ModelCheckpoint", filepath="../{epoch:02d}.h5")))
    assert (fault.code, fault.received) == ("bad_template", "../{epoch:02d}.h5")
