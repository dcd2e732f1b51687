"""What `submit`, `upload` and the methods that take an id say about a value of a wrong type."""

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas
import polars
import pytest

from fitqueue.client import Client
from tests.unit.fitqueue.views import job_view


class Model:
    """Named and placed as a model of Keras is: Keras itself takes ten seconds to load."""

    __module__ = "keras.src.models.model"


@pytest.fixture
def client() -> Client:
    """A client without a service: what is wrong is found before anything is sent."""
    return Client("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("value", "received", "advice"),
    [
        (Model(), "keras's Model", "client.fit(model, x, y, …) trains a compiled model"),
        (job_view(spec={"fit": {}}), "fitqueue's JobView", "Its job is its attribute `spec`."),
        (io.BytesIO(b"{}"), "_io's BytesIO", "Pass its path, or what its read() returns."),
        (np.zeros(3), "numpy's ndarray", "A job does not contain its data, but names it: numpy.savez("),
        (pandas.DataFrame({"a": [1]}), "pandas's DataFrame", "client.fit(model, x, y, …) takes arrays and frames"),
        (polars.DataFrame({"a": [1]}), "polars's DataFrame", "client.fit(model, x, y, …) takes arrays and frames"),
        ([{"model": {}}], "list", "Submit each job by a call of its own."),
        (7, "int", "docs/spec.md describes a job."),
    ],
)
def test_submit_says_what_to_do_instead(client: Client, value: Any, received: str, advice: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"Received {received}.")) as caught:
        client.submit(value)
    assert advice in str(caught.value)


def test_arguments_as_of_fit_go_with_a_model(client: Client) -> None:
    submit: Any = client.submit
    for arguments in ((Model(), np.zeros(3), np.zeros(3)), ({"model": {}}, np.zeros(3))):
        with pytest.raises(TypeError, match=r"client\.fit\(model, x, y, …\)"):
            submit(*arguments)
    with pytest.raises(TypeError, match=r"client\.submit\(model=model, x=x, y=y, …\)"):
        submit()


@pytest.mark.parametrize(
    ("value", "received", "advice"),
    [
        (Model(), "keras's Model", "model.save_weights('start.weights.h5') writes its weights to a file"),
        (np.zeros(3), "numpy's ndarray", "Numpy.savez("),
        ((np.zeros(3), np.zeros(3)), "tuple", "numpy.savez("),
        (pandas.DataFrame({"a": [1]}), "pandas's DataFrame", "takes arrays and frames as they are"),
        (polars.DataFrame({"a": [1]}), "polars's DataFrame", "takes arrays and frames as they are"),
        ({"x": np.zeros(3)}, "dict", "numpy.savez('data.npz', **arrays) writes arrays by name"),
        (io.BytesIO(b"PK"), "_io's BytesIO", "Pass its path."),
        (b"PK", "bytes", "Write them to a file, and pass its path."),
        ([Path("a.npz"), Path("b.npz")], "list", "Upload each file by a call of its own"),
        (None, "NoneType", "numpy.savez("),
    ],
)
def test_upload_says_what_to_do_instead(client: Client, value: Any, received: str, advice: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"Received {received}.")) as caught:
        client.upload(value)
    assert advice.lower() in str(caught.value).lower()


def test_a_job_in_place_of_its_id(client: Client) -> None:
    wrong: Any = job_view()
    with pytest.raises(TypeError, match=r"Received fitqueue's JobView\. Its id is its attribute `id`"):
        client.cancel(wrong)
    number: Any = 7
    with pytest.raises(TypeError, match=r"Received int\. Ids begin with job_"):
        client.get(number)


def test_a_file_is_told_by_its_methods_alone(client: Client) -> None:
    opened: Any = SimpleNamespace(read=lambda: b"{}")
    with pytest.raises(TypeError, match="Pass its path, or what its"):
        client.submit(opened)
