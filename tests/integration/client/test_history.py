"""The History that `client.fit` returns is one of the caller's Keras, and can be copied, pickled and drawn."""

import copy
import math
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fitqueue.fit.history import make_history
from fitqueue.pictures.picture import Picture
from fitqueue.states import JobState
from tests.unit.fitqueue.views import epoch_view, job_view

pytestmark = pytest.mark.timeout(1200)  # the first test loads TensorFlow

EPOCHS = [
    epoch_view(1, {"loss": 2.0, "mae": 1.0, "val_loss": 2.5}),
    epoch_view(2, {"loss": None, "mae": 0.5}),
    epoch_view(3, {"loss": 0.5, "mae": 0.25, "val_loss": 1.5}),
]
JOB = job_view(
    JobState.SUCCEEDED,
    reason="completed",
    best={"epoch": 3, "monitor": "val_loss", "value": 1.5},
    progress={"epoch": 3, "epochs": 3, "percent": 100.0},
)


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> ModuleType:
    return pytest.importorskip(request.param)


@pytest.fixture
def history(keras: ModuleType) -> Any:
    model = keras.Sequential([keras.layers.InputLayer((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    return make_history(keras, model, JOB, EPOCHS)


def test_it_is_the_history_of_keras_with_the_job(keras: ModuleType, history: Any) -> None:
    assert isinstance(history, keras.callbacks.History)
    assert type(history).__name__ == "History"
    assert history.model.history is history
    assert history.epoch == [0, 1, 2]
    assert history.params == {"verbose": 0, "epochs": 3, "steps": 23}
    assert history.history["mae"] == [1.0, 0.5, 0.25]
    assert history.history["val_loss"] == [2.5, 1.5]
    assert math.isnan(history.history["loss"][1])
    assert history.job == JOB


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda history: pickle.loads(pickle.dumps(history))])
def test_copies_and_pickles_are_the_same(keras: ModuleType, history: Any, again: Any) -> None:
    other = again(history)
    assert other is not history
    assert type(other) is type(history)
    assert isinstance(other, keras.callbacks.History)
    assert (other.job, other.epoch, repr(other.history)) == (JOB, [0, 1, 2], repr(history.history))
    assert other._repr_html_() == history._repr_html_()


def test_another_process_reads_a_pickle(history: Any, tmp_path: Path) -> None:
    path = tmp_path / "history.pickle"
    path.write_bytes(pickle.dumps(history))
    program = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).history['mae'])"
    shown = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True).stdout
    assert shown == "[1.0, 0.5, 0.25]\n"


def test_it_is_shown_with_its_curves(history: Any) -> None:
    assert repr(history).splitlines() == [
        "job_1 (digits): succeeded, epoch 3/3",
        "best: val_loss 1.5000 in epoch 3",
        "loss: train 0.5000, validation 1.5000",
        "mae: train 0.2500",
    ]
    assert history._repr_mimebundle_() == {"text/plain": repr(history), "text/html": history._repr_html_()}
    assert history._repr_html_().count("<svg") == 2


def test_plot_draws_by_matplotlib(history: Any) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    loss, mae = history.plot()
    assert [axis.get_title() for axis in (loss, mae)] == ["loss", "mae"]
    train, gap, validation, best = loss.lines
    assert list(train.get_xdata()) == [1, 2, 3]
    assert [train.get_ydata()[0], train.get_ydata()[2]] == [2.0, 0.5]
    assert math.isnan(train.get_ydata()[1])
    assert (list(gap.get_xdata()), gap.get_marker()) == ([2], "x")
    assert (list(validation.get_xdata()), list(validation.get_ydata())) == ([1, 3], [2.5, 1.5])
    assert list(best.get_xdata()) == [3, 3]
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["train", "validation"]


def test_plot_draws_a_name_as_it_is(keras: ModuleType, tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    model = keras.Sequential([keras.layers.InputLayer((4,))])
    [axis] = make_history(keras, model, JOB, [epoch_view(1, {"$\\frac{$\n": 1.0})]).plot()
    assert axis.get_title() == "$\\frac{$"
    axis.figure.savefig(tmp_path / "curves.png")


def test_plot_gives_the_picture_where_there_is_no_matplotlib(history: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    picture = history.plot()
    assert isinstance(picture, Picture)
    assert picture.html == history._repr_html_()
