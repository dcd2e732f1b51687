"""The lines of a training: their form is that of Keras's bar, and none is broken by the terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from fitqueue.fit.lines import epoch_line, rate_text, running_line
from tests.unit.fitqueue.views import epoch_view, job_view

METRICS = {"accuracy": 0.9412, "loss": 0.22310001, "val_accuracy": 0.95, "val_loss": 0.0001234}


def ended(width: int | None, *, has_bar: bool = True, is_ascii: bool = False) -> str:
    line = epoch_line(epoch_view(3, METRICS), job_view().progress, width, has_bar=has_bar, is_ascii=is_ascii)
    return line.plain


def test_an_epoch_on_terminals_of_three_widths() -> None:
    assert ended(60).split("\n") == [
        "Epoch 3/20 23/23 ━━━━━━━━━━━━━━━━━━━━ 1.4s 8ms/step",
        "    accuracy: 0.9412 - loss: 0.2231 - val_accuracy: 0.9500",
        "    val_loss: 1.2340e-04",
    ]
    assert ended(80).split("\n") == [
        "Epoch 3/20 23/23 ━━━━━━━━━━━━━━━━━━━━ 1.4s 8ms/step - accuracy: 0.9412",
        "    loss: 0.2231 - val_accuracy: 0.9500 - val_loss: 1.2340e-04",
    ]
    assert ended(100).split("\n") == [
        "Epoch 3/20 23/23 ━━━━━━━━━━━━━━━━━━━━ 1.4s 8ms/step - accuracy: 0.9412 - loss: 0.2231",
        "    val_accuracy: 0.9500 - val_loss: 1.2340e-04",
    ]


def test_an_epoch_in_a_file_is_one_line() -> None:
    assert ended(None, has_bar=False) == (
        "Epoch 3/20 - 23/23 - 1.4s 8ms/step - accuracy: 0.9412 - loss: 0.2231 - val_accuracy: 0.9500"
        " - val_loss: 1.2340e-04"
    )


def test_a_terminal_without_other_characters_gets_ascii() -> None:
    assert ended(100, is_ascii=True).startswith("Epoch 3/20 23/23 ==================== 1.4s")
    assert ended(100, is_ascii=True).isascii()


def test_the_running_epoch_has_its_steps_its_metrics_and_the_time_that_is_left() -> None:
    progress = job_view(progress={"step": 9, "metrics": {"loss": 0.5, "mae": None}}).progress
    line = running_line(progress, 127.0, 100, is_ascii=False)
    assert line.plain == "Epoch 4/20  9/23 ━━━━━━━━━━━━━━━━━━━━ ETA 2:07 - loss: 0.5000 - mae: nan"
    [done] = [span for span in line.spans if span.style == "green"]
    assert done.end - done.start == 20 * 9 // 23
    assert "ETA" not in running_line(progress, None, 100, is_ascii=False).plain


@given(
    names=st.lists(st.text(max_size=90), max_size=12, unique=True),
    width=st.integers(40, 120),
    epochs=st.integers(1, 10**6),
    steps=st.integers(1, 10**7),
    has_bar=st.booleans(),
)
def test_no_line_is_wider_than_the_terminal(
    names: list[str], width: int, epochs: int, steps: int, has_bar: bool
) -> None:
    metrics = dict.fromkeys(names, 0.5)
    progress = job_view(
        progress={"epoch": epochs, "epochs": epochs, "step": steps, "steps": steps, "metrics": metrics}
    ).progress
    row = epoch_view(epochs, metrics)
    shown = [
        *epoch_line(row, progress, width, has_bar=has_bar, is_ascii=False).plain.split("\n"),
        *running_line(progress, 3600.0, width, is_ascii=False).plain.split("\n"),
    ]
    assert [line for line in shown if cell_len(line) > width] == []
    assert all(line.isprintable() for line in shown)


@pytest.mark.parametrize(
    ("steps_per_second", "text"),
    [(0.0, ""), (0.5, "2s/step"), (1.0, "1s/step"), (125.0, "8ms/step"), (4000.0, "250us/step")],
)
def test_the_time_for_a_step(steps_per_second: float, text: str) -> None:
    assert rate_text(steps_per_second) == text
