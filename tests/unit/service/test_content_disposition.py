"""The name under which a browser saves a download, as RFC 6266 has it."""

from urllib.parse import unquote

import pytest
from werkzeug.http import parse_options_header

from service.api.files import content_disposition


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ep01.keras", "attachment; filename=ep01.keras"),
        ("a b.keras", 'attachment; filename="a b.keras"'),
        ("模型-01.keras", "attachment; filename=__-01.keras; filename*=UTF-8''%E6%A8%A1%E5%9E%8B-01.keras"),
        ("modèle.keras", "attachment; filename=modele.keras; filename*=UTF-8''mod%C3%A8le.keras"),
        ("я (1).h5", "attachment; filename=\"_ (1).h5\"; filename*=UTF-8''%D1%8F%20%281%29.h5"),
        ("🙂.keras", "attachment; filename=_.keras; filename*=UTF-8''%F0%9F%99%82.keras"),
    ],
)  # fmt: skip
def test_other_letters_than_ascii_are_encoded_and_have_a_fallback(name: str, expected: str) -> None:
    assert content_disposition(name) == expected


@pytest.mark.parametrize("name", ["模型-01.keras", "été=1,5 [x].weights.h5", "ñ'%2F\".csv", "№½ﬁ.csv", "日志 1.log"])
def test_the_name_can_be_read_back(name: str) -> None:
    header = content_disposition(name)
    assert header.isascii()
    assert parse_options_header(header)[1]["filename"] == name
    assert unquote(header.partition("; filename*=UTF-8''")[2]) == name
