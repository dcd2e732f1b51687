"""How what the client returns is printed, and which names tab completion offers of it."""

from datetime import UTC, datetime

import pytest
from IPython.core.completer import IPCompleter, provisionalcompleter
from pydantic import BaseModel

from fitqueue import Client, views
from fitqueue.view import View
from tests.unit.fitqueue.views import epoch_view, job_view


def test_a_job_is_printed_in_short() -> None:
    spec = {"model": {"config": {"layers": list(range(1000))}}}
    job = job_view(spec=spec, best={"epoch": 3, "monitor": "val_loss", "value": 0.123456})
    assert repr(job) == "JobView(id='job_1', name='digits', state='running', epoch='4/20', best='val_loss 0.1235')"
    assert repr(job_view(name=None)) == "JobView(id='job_1', state='running', epoch='4/20')"


def test_long_texts_are_cut_and_what_is_empty_is_left_out() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    line = views.LogLine(id=1, at=at, attempt=1, stream="stdout", text="x" * 500)
    assert repr(line) == f"LogLine(id=1, stream='stdout', text='{'x' * 79}…')"
    link = views.LoginLink(url="http://x/login", expires_at=at)
    assert repr(link) == "LoginLink(url='http://x/login', expires_at='2026-01-02T03:04:05+00:00')"
    assert repr(views.Best(epoch=3, monitor="val_loss", value=None)) == "Best(epoch=3, monitor='val_loss')"


@pytest.mark.parametrize(
    "view", [kind for kind in vars(views).values() if isinstance(kind, type) and issubclass(kind, View)]
)
def test_each_name_that_is_shown_is_a_field(view: type[View]) -> None:
    assert {*(view.SHOWN or ())} <= {*view.model_fields}


@pytest.mark.parametrize("jedi", [True, False])
def test_tab_completion_offers_our_names(jedi: bool) -> None:
    values = {"job": job_view(), "row": epoch_view(1, {"loss": 1.0}), "client": Client("http://127.0.0.1:9")}
    completer = IPCompleter(namespace=values, use_jedi=jedi)
    for name, wanted in (("job", "progress"), ("row", "metrics"), ("client", "submit")):
        with provisionalcompleter():
            offered = {each.text.lstrip(".") for each in completer.completions(f"{name}.", len(name) + 1)}
        assert wanted in offered
        assert not offered & {*dir(BaseModel)}
        assert not {text for text in offered if text.isupper()}
