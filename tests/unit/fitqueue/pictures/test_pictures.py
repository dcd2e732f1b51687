"""Jobs, lists and trainings as notebooks show them: well-formed, static, without a word that was not escaped."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitqueue.client.job_list import JobList
from fitqueue.pictures.html import STATE_COLOURS
from fitqueue.pictures.jobs import MAX_CHARTS, picture_of_jobs, picture_of_training
from fitqueue.pictures.svg import COLOURS
from fitqueue.states import JobState
from fitqueue.views import JobSummary, JobView
from tests.unit.fitqueue.views import epoch_view, job_view

ALLOWED = frozenset(
    {"div", "span", "strong", "code", "table", "thead", "tbody", "tr", "th", "td", "svg", "g", "title", "path", "text",
     "polyline", "circle"}
)  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)>\"' $\\href{javascript:alert(1)}{x}$ </svg><script>\x1b[31m\u202e\n]]>"


def elements(html: str) -> list[ElementTree.Element]:
    """Return all elements of a picture, which is well-formed XML, too: nothing in it opens what is not closed."""
    root = ElementTree.fromstring(html.replace("&#x27;", "'"))
    assert root.attrib["class"].split() == ["fitqueue", "mathjax_ignore", "tex2jax_ignore"]
    return list(root.iter())


def tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def words(html: str) -> str:
    return " ".join("".join(ElementTree.fromstring(html).itertext()).split())


def hostile_job(text: str) -> JobView:
    return job_view(
        JobState.FAILED,
        id=text,
        name=text,
        message=text,
        reason="invalid_data",
        best={"epoch": 2, "monitor": text, "value": 0.5},
        progress={"metrics": {text: 1.0}},
    )


def test_a_running_job_in_words_and_as_a_picture() -> None:
    best = {"epoch": 2, "monitor": "val_loss", "value": 0.125}
    job = job_view(best=best, progress={"metrics": {"accuracy": 0.9, "loss": None}})
    bundle = job._repr_mimebundle_()
    assert bundle.keys() == {"text/plain", "text/html"}
    assert bundle["text/plain"].splitlines() == [
        "job_1 (digits): running, epoch 4/20, step 12/23, 42 s left",
        "epoch 4: accuracy: 0.9000 - loss: nan",
        "best: val_loss 0.1250 in epoch 2",
    ]
    assert bundle["text/html"] == job._repr_html_()
    assert words(job._repr_html_()) == (
        "digits job_1 ● running, epoch 4/20, step 12/23, 42 s left"
        "epoch 4: accuracy: 0.9000 - loss: nanbest: val_loss 0.1250 in epoch 2"
    )
    assert "width:17.6%" in job._repr_html_()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"state": JobState.QUEUED, "attempt": 0, "queue": {"position": 2, "waiting_for": "a free worker"}},
         "queued, number 2, waiting for a free worker"),
        ({"state": JobState.RUNNING, "phase": "loading_data", "progress": {"epoch": 0, "steps": None}},
         "running, loading data"),
        ({"state": JobState.SUCCEEDED, "reason": "completed"}, "succeeded, epoch 4/20"),
        ({"state": JobState.FAILED, "reason": "nan_loss", "message": "It is NaN."}, "failed, epoch 4/20\nIt is NaN."),
        ({"state": JobState.CANCELLED, "progress": {"epoch": 0}}, "cancelled"),
    ],
)  # fmt: skip
def test_each_state_in_words(fields: dict[str, object], text: str) -> None:
    job = job_view(**fields)  # type: ignore[arg-type]
    assert job._repr_mimebundle_()["text/plain"] == f"job_1 (digits): {text}"
    assert STATE_COLOURS[job.state] in job._repr_html_()


def test_a_training_has_a_chart_for_each_metric_with_marks_for_what_cannot_be_drawn() -> None:
    epochs = [
        epoch_view(number, {"loss": loss, "val_loss": 0.5, "accuracy": 0.75})
        for number, loss in enumerate([2.0, 1.0, None, 0.5], 1)
    ]
    job = job_view(JobState.SUCCEEDED, reason="completed", best={"epoch": 2, "monitor": "val_loss", "value": 0.5})
    picture = picture_of_training(job, epochs)
    svgs = [element for element in elements(picture.html) if tag(element) == "svg"]
    assert [svg.attrib["aria-label"] for svg in svgs] == [
        "loss: train 0.5000, validation 0.5000",
        "accuracy: train 0.7500",
    ]
    loss = [(tag(element), element.get("stroke") or element.get("fill")) for element in svgs[0].iter()]
    assert loss.count(("polyline", COLOURS["train"])) == 1
    assert loss.count(("circle", COLOURS["train"])) == 1, "the epoch after the gap stands alone"
    assert loss.count(("polyline", COLOURS["validation"])) == 1
    titles = [element.text for element in svgs[0].iter() if tag(element) == "title"]
    assert titles == ["best epoch: 2", "loss, train: not finite in epoch 3"]
    assert picture.text.splitlines()[-2:] == ["loss: train 0.5000, validation 0.5000", "accuracy: train 0.7500"]


def test_a_hundred_metrics_are_eight_charts_and_the_rest_in_words() -> None:
    epochs = [epoch_view(1, {f"metric_{number}": 1.0 for number in range(100)})]
    html = picture_of_training(job_view(), epochs).html
    assert html.count("<svg") == MAX_CHARTS
    assert "metric_42: train 1.0000" in words(html)


def test_ten_thousand_epochs_are_a_small_picture() -> None:
    epochs = [epoch_view(number, {"loss": number % 7, "val_loss": number % 11}) for number in range(1, 10_001)]
    assert len(picture_of_training(job_view(), epochs).html) < 20_000


@pytest.mark.parametrize("values", [[1e308, -1e308], [0.0, 0.0], [5e-324, 1e-323], [None], [None, None], [1.0]])
def test_every_value_has_a_place_in_the_chart(values: list[float | None]) -> None:
    epochs = [epoch_view(number, {"loss": value}) for number, value in enumerate(values, 1)]
    html = picture_of_training(job_view(), epochs).html
    for element in elements(html):
        for place in re.findall(r"-?[\d.]+|nan|inf", element.get("points", "")):
            assert 0 <= float(place) <= 270


@given(st.one_of(st.just(HOSTILE), st.text(min_size=1)))
def test_no_text_of_somebody_else_becomes_part_of_the_page(text: str) -> None:
    pictures = [
        picture_of_training(hostile_job(text), [epoch_view(1, {text: None, f"val_{text}": 1.0})], note=text),
        picture_of_jobs([hostile_job(text)], has_more=True),
    ]
    for picture in pictures:
        for element in elements(picture.html):
            assert tag(element) in ALLOWED
            assert not [name for name in element.attrib if name.startswith("on") or name in {"href", "src"}]
        assert all(character.isprintable() or character == "\n" for character in picture.text)


def test_text_and_axes_take_the_colour_of_the_page_and_the_curves_can_be_seen_on_white_and_black() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for colour in [*COLOURS.values(), *STATE_COLOURS.values()]:
        assert 1.05 / (luminance(colour) + 0.05) >= 3, f"{colour} on white"
        assert (luminance(colour) + 0.05) / (luminance("#181818") + 0.05) >= 3, f"{colour} on the grey of dark themes"
    html = picture_of_training(job_view(), [epoch_view(1, {"loss": 1.0, "val_loss": 1.0})]).html
    fixed = set(re.findall(r"#[0-9a-f]{6}", html)) - {*COLOURS.values(), *STATE_COLOURS.values()}
    assert fixed == set()
    assert 'fill="currentColor"' in html


def test_a_list_of_jobs_is_a_table_and_still_yields_them_all() -> None:
    asked = []

    def jobs() -> Iterator[JobSummary]:
        for number in range(30):
            asked.append(number)
            yield job_view(id=f"job_{number}")

    listed = JobList(jobs(), lambda: 30)
    assert next(listed).id == "job_0"
    assert (repr(listed), listed.total) == ("<JobList: list(…) gets the jobs, total is their number>", 30)
    assert asked == [0], "nothing is requested ahead of its use"
    html = listed._repr_html_()
    assert re.findall(r"<code>(\w+)</code>", html) == [f"job_{number}" for number in range(1, 21)]
    assert "and more" in html
    assert listed._repr_mimebundle_()["text/plain"].startswith("job_1 (digits): running")
    assert [job.id for job in listed] == [f"job_{number}" for number in range(1, 30)]
    assert words(JobList(iter(()), lambda: 0)._repr_html_()) == "No jobs."
