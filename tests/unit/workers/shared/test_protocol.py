"""Messages between supervisor and child survive the way over the pipe."""

import math

import pytest
from pydantic import ValidationError

from fitqueue.reports import EpochEnded, Position, SnapshotWritten
from workers.shared.protocol import Progress, Start, Stop, decode_command, decode_report, encode


def test_a_message_is_one_line() -> None:
    assert encode(Stop(cause="cancel")) == b'{"type":"stop","cause":"cancel"}\n'


def test_an_event_with_a_position_is_decoded() -> None:
    progress = Progress(position=Position(2, 7), steps=9)
    snapshot = SnapshotWritten(file="1.snapshot", size=3, sha256="0", position=Position(1))
    assert [decode_report(encode(event)) for event in (progress, snapshot)] == [progress, snapshot]


def test_nan_and_infinity_are_decoded() -> None:
    ended = EpochEnded(
        epoch=1, logs={"loss": math.nan, "mae": math.inf}, learning_rate=0.1, next_learning_rate=0.1, seconds=1.0,
        steps=3,
    )  # fmt: skip
    decoded = decode_report(encode(ended))
    assert isinstance(decoded, EpochEnded)
    assert math.isnan(decoded.logs["loss"])
    assert decoded.logs["mae"] == math.inf


def test_a_lease_without_an_end_is_decoded() -> None:
    start = Start(job_id="j", attempt=1, spec={}, dataset_path=None, work_dir="", gpus=[], cpu_devices=1, threads=0)
    assert decode_command(encode(start)) == start
    assert start.lease_seconds == math.inf


@pytest.mark.parametrize("line", [b"", b"{}", b'{"type": "stop"}', b'{"type": "progress"}', b"nonsense"])
def test_a_line_that_is_not_a_command_is_refused(line: bytes) -> None:
    with pytest.raises(ValidationError):
        decode_command(line)
