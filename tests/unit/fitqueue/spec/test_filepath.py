import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitqueue.spec import BadTemplate, Template

DOCUMENT = "ep{epoch:03d}-loss{loss:.3f}-val_loss{val_loss:.3f}.weights.h5"


def test_the_documents_template() -> None:
    template = Template.parse(DOCUMENT)
    assert template.fields == ("epoch", "loss", "val_loss")
    assert template.render(7, {"loss": 0.12345, "val_loss": 1.5}) == "ep007-loss0.123-val_loss1.500.weights.h5"
    assert template.keras_format() == DOCUMENT


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("weights.{epoch:02d}.h5", "weights.07.h5"),
        ("model.{epoch:02d}.keras", "model.07.keras"),
        ("w.{epoch}.{loss:.2f}.{loss}.keras", "w.7.nan.nan.keras"),
    ],
)
def test_dots_around_a_field_are_not_two_in_a_row(text: str, name: str) -> None:
    assert Template.parse(text).render(7, {"loss": float("nan")}) == name


@pytest.mark.parametrize(
    "text",
    [
        "../{epoch}.keras",
        "a/../../{epoch}.keras",
        "/etc/{epoch}.keras",
        "runs/{epoch}.keras",
        "C:\\{epoch}.keras",
        "gs://bucket.keras",
        "{epoch}\x00.keras",
        ".hidden.keras",
        "a..b.keras",
        "{epoch}..keras",
        "a{epoch}/..{loss}.keras",
        "{epoch.__class__}.keras",
        "{epoch.__class__.__mro__}.keras",
        "{epoch[0]}.keras",
        "{0}.keras",
        "{}.keras",
        "{epoch!r}.keras",
        "{loss!s:.3f}.keras",
        "{epoch:>300000000}.keras",
        "{epoch:300000000d}.keras",
        "{epoch:020d}.keras",
        "{loss:.999f}.keras",
        "{loss:d}.keras",
        "{loss:{epoch}}.keras",
        "{epoch:{epoch}d}.keras",
        "{epoch",
        "epoch}",
        "{{epoch}}.keras",
        "a\nb.keras",
        "a" * 201,
        "%s~$(rm).keras",
    ],
)
def test_refuses(text: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        Template.parse(text)
    assert len(str(caught.value)) < 300


@given(st.text(max_size=60) | st.text("{}epochloss:.0123456789dfeg!r[]-", max_size=30))
def test_what_is_taken_renders_as_keras_would_and_is_no_path(text: str) -> None:
    try:
        template = Template.parse(text)
    except BadTemplate:
        return
    logs = {name: 0.123456 for name in template.fields if name not in {"epoch", "batch"}}
    rendered = template.render(3, logs, batch=5)
    assert rendered == template.keras_format().format(**logs, epoch=3, batch=5)
    assert not set(rendered) & set("/\\\0")
    assert ".." not in rendered
    assert len(rendered) < 2000


@given(
    st.lists(st.sampled_from(["epoch:02d", "epoch", "loss:.3f", "val_loss:.2e", "acc:8.3f", "-", "ep"]), max_size=8),
    st.floats(width=32),
)
def test_renders_any_value(parts: list[str], value: float) -> None:
    text = "x" + "".join(
        f"{{{part}}}" if (part.isidentifier() and part == "epoch") or ":" in part else part for part in parts
    )
    template = Template.parse(text)
    logs = {"loss": value, "val_loss": value, "acc": value}
    assert template.render(1, logs) == text.format(epoch=1, **logs)
    assert set(template.fields) == {name for _, name, *_ in string.Formatter().parse(text) if name}


def test_a_value_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="val_loss"):
        Template.parse(DOCUMENT).render(1, {"loss": 1.0})


def test_names_that_would_be_longer_than_a_file_name_are_refused() -> None:
    with pytest.raises(BadTemplate, match="310 characters and more; at most 255"):
        Template.parse("{epoch:019d}" * 16 + ".keras")
