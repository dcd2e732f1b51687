import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.pages.pretty_json import pretty

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_it_means_the_same(value: Any) -> None:
    assert json.loads(pretty(value)) == value


def test_plain_lists_and_objects_stay_on_a_line() -> None:
    value = {"layers": [{"units": 10}, {"shape": [8, 8]}], "empty": [], "long": ["x" * 60, "y" * 60]}
    assert pretty(value).splitlines() == [
        "{",
        '  "layers": [',
        '    {"units": 10},',
        "    {",
        '      "shape": [8, 8]',
        "    }",
        "  ],",
        '  "empty": [],',
        '  "long": [',
        f'    "{"x" * 60}",',
        f'    "{"y" * 60}"',
        "  ]",
        "}",
    ]
