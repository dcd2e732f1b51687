import string
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitqueue.spec import BadTemplate, Template
from fitqueue.spec.filepath import Piece

REFERENCE = "ep{epoch:03d}-loss{loss:.3f}-val_loss{val_loss:.3f}.weights.h5"


def render(template: Template, epoch: int, logs: Mapping[str, float], batch: int | None = None) -> str:
    """Return the name of a checkpoint, each field formatted by itself as `format` does."""
    values = {**logs, "epoch": epoch} | ({} if batch is None else {"batch": batch})

    def render_piece(piece: Piece) -> str:
        return piece.literal + ("" if piece.field is None else format(values[piece.field], piece.spec))

    return "".join(map(render_piece, template.pieces))


def test_the_template_of_the_reference_document() -> None:
    template = Template.parse(REFERENCE)
    assert template.fields == ("epoch", "loss", "val_loss")
    assert render(template, 7, {"loss": 0.12345, "val_loss": 1.5}) == "ep007-loss0.123-val_loss1.500.weights.h5"
    assert template.keras_format() == REFERENCE


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("weights.{epoch:02d}.h5", "weights.07.h5"),
        ("model.{epoch:02d}.keras", "model.07.keras"),
        ("w.{epoch}.{loss:.2f}.{loss}.keras", "w.7.nan.nan.keras"),
    ],
)
def test_dots_around_a_field_are_accepted(text: str, name: str) -> None:
    assert render(Template.parse(text), 7, {"loss": float("nan")}) == name


def test_a_slash_in_the_name_of_a_field_does_not_become_part_of_a_file_name() -> None:
    template = Template.parse("m-{p/o_loss:.2f}.keras")
    assert template.fields == ("p/o_loss",)
    assert template.keras_format().format(**{"p/o_loss": 0.123}) == "m-0.12.keras"


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
def test_invalid_templates_are_refused(text: str) -> None:
    with pytest.raises(BadTemplate) as raised:
        Template.parse(text)
    assert len(str(raised.value)) < 300


@given(st.text(max_size=60) | st.text("{}epochloss:.0123456789dfeg!r[]-", max_size=30))
def test_an_accepted_template_never_gives_a_path(text: str) -> None:
    try:
        template = Template.parse(text)
    except BadTemplate:
        return
    logs = {name: 0.123456 for name in template.fields if name not in {"epoch", "batch"}}
    rendered = render(template, 3, logs, batch=5)
    assert rendered == template.keras_format().format(**logs, epoch=3, batch=5)
    assert not set(rendered) & set("/\\\0")
    assert ".." not in rendered
    assert len(rendered) < 2000


@given(
    st.lists(st.sampled_from(["epoch:02d", "epoch", "loss:.3f", "val_loss:.2e", "acc:8.3f", "-", "ep"]), max_size=8),
    st.floats(width=32),
)
def test_any_value_is_formatted_as_python_does(pieces: list[str], value: float) -> None:
    text = "x" + "".join(
        f"{{{piece}}}" if (piece.isidentifier() and piece == "epoch") or ":" in piece else piece for piece in pieces
    )
    template = Template.parse(text)
    logs = {"loss": value, "val_loss": value, "acc": value}
    assert render(template, 1, logs) == text.format(epoch=1, **logs)
    assert set(template.fields) == {name for _, name, *_ in string.Formatter().parse(text) if name}


def test_names_longer_than_a_file_name_are_refused() -> None:
    with pytest.raises(BadTemplate, match="310 characters or more; at most 255"):
        Template.parse("{epoch:019d}" * 16 + ".keras")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("m-{epoch:03d}-{loss:0.4f}.hdf5", "m-007-0.1235.hdf5"),
        ("m-{loss:.02f}.h5", "m-0.12.h5"),
        ("m-{epoch:0>2d}.h5", "m-07.h5"),
        ("m-{loss:0.3}.h5", "m-0.123.h5"),
        ("m-{epoch:_<3}.h5", "m-7__.h5"),
        ("m-{epoch:+}.h5", "m-+7.h5"),
        ("m-{epoch:.1f}.h5", "m-7.0.h5"),
        ("m-{loss:.1%}.h5", "m-12.3%.h5"),
        ("m-{loss:8.3e}.h5", "m-1.235e-01.h5"),
        ("m-{loss:x^9.2f}.h5", "m-xx0.12xxx.h5"),
        ("m-{val_f1-score:.2f}-{auc@pr:.1f}-{准确率:.3f}.h5", "m-0.12-0.1-0.123.h5"),
        ("m-{a b}.h5", "m-0.123456.h5"),
    ],
)
def test_formats_and_fields_of_python(text: str, name: str) -> None:
    template = Template.parse(text)
    values = dict.fromkeys(template.fields, 0.123456) | {"epoch": 7}
    assert template.keras_format().format(**values) == name == text.format(**values)


@pytest.mark.parametrize(
    "field",
    ["epoch:c", "epoch:s", "loss:d", "loss:s", "loss:x", "loss:#.0f", "epoch:.>3", "epoch:/>3", "epoch:99d",
     "loss:.99f", "epoch:.3d", "epoch:n", "epoch:{loss}", "a.b", "a[b]", "3", "a\n", "a\\b", "a/../b"],
)  # fmt: skip
def test_formats_and_fields_that_are_refused(field: str) -> None:
    with pytest.raises(BadTemplate):
        Template.parse(f"m-{{{field}}}.h5")
