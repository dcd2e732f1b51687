import pytest

from fitqueue.cli.jobs import _remark_notices
from fitqueue.views import Notice


@pytest.mark.parametrize(
    ("pointers", "line"),
    [
        (["/a"], "Notice: /a: It is left out."),
        (["/a", "/b"], "Notice: /a and 1 other place: It is left out."),
        (["/a", "/b", "/c"], "Notice: /a and 2 other places: It is left out."),
    ],
)
def test_a_notice_is_one_line(pointers: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    _remark_notices([Notice(pointer="/a", code="ignored", message="It is left out.", pointers=pointers)])
    assert capsys.readouterr().err.splitlines() == [line]
