"""Where in the data a resumed training begins."""

import pytest

from fitqueue.reports import Position
from workers.trainer.resuming import drawn_batches


@pytest.mark.parametrize(
    ("position", "steps_per_epoch", "steps_per_execution", "drawn"),
    [
        (Position(3, 2), None, 1, 2),  # each epoch is a pass over the data
        (Position(0, 2), 4, 1, 2),
        (Position(1, 2), 4, 1, 6),  # an epoch continues where the one before has ended
        (Position(2), 4, 1, 8),
        (Position(3), 4, 1, 0),  # the third epoch ended with the data
        (Position(3, 1), 4, 1, 1),
        (Position(1), 3, 2, 4),  # two executions of two steps
    ],
)
def test_the_batches_that_were_drawn_from_a_pass_of_ten(
    position: Position, steps_per_epoch: int | None, steps_per_execution: int, drawn: int
) -> None:
    assert drawn_batches(position, 10, steps_per_epoch, steps_per_execution) == drawn
