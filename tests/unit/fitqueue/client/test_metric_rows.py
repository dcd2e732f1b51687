"""Rows of metrics as frames, as mappings and in short."""

import math

import pandas
import polars
from pydantic_core import to_json

from fitqueue.client.metric_rows import Metrics
from fitqueue.metric_views import EpochView
from tests.unit.fitqueue.views import epoch_view

ROWS = Metrics(
    [
        epoch_view(1, {"loss": 0.75, "val_loss": None, "learning_rate": 0.1}),
        epoch_view(2, {"loss": None, "accuracy": 0.5}, non_finite_values={"loss": "-Infinity"}),
    ]
)
LAST = ["learning_rate", "seconds", "steps_per_second", "attempt", "finished_at"]


def test_a_frame_has_a_column_for_each_metric() -> None:
    frame = pandas.DataFrame(ROWS)
    assert list(frame) == ["epoch", "loss", "val_loss", *LAST, "accuracy"]
    assert frame["loss"].tolist() == [0.75, -math.inf]
    assert frame["epoch"].tolist() == [1, 2]
    assert frame["learning_rate"].tolist() == [0.001, 0.001], "that of the epoch, which the callbacks may have changed"
    assert frame["accuracy"].isna().tolist() == [True, False]
    assert str(frame.dtypes["finished_at"]).startswith("datetime64")
    other = polars.DataFrame(ROWS.columns())
    assert other.columns == list(frame)
    assert other["accuracy"].to_list() == [None, 0.5]
    assert pandas.DataFrame(Metrics[EpochView]([])).empty


def test_a_row_is_a_mapping_of_what_was_logged() -> None:
    assert ROWS[0]["loss"] == 0.75
    assert math.isnan(ROWS[0]["val_loss"])
    assert {**ROWS[0]}.keys() == dict(ROWS[0]).keys() == {"epoch", "loss", "val_loss", *LAST}
    assert len(ROWS[0]) == 8


def test_rows_stay_a_sequence_that_becomes_json() -> None:
    assert [row.epoch for row in ROWS[:1]] == [1]
    assert to_json(ROWS) == to_json(list(ROWS))
    assert EpochView.model_validate_json(ROWS[0].model_dump_json()) == ROWS[0]


def test_rows_are_printed_in_short() -> None:
    assert repr(ROWS) == "Metrics(2 rows, the last: EpochView(epoch=2, loss=-inf, accuracy=0.5))"
    assert repr(Metrics[EpochView]()) == "Metrics(0 rows)"
