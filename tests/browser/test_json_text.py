"""The module that says where the values of a JSON text stand, in the browser that runs it."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page

from fitqueue.errors import MalformedJSON
from fitqueue.json_pointer import pointer_to
from fitqueue.spec import parse_json
from tests.browser.login import log_in
from tests.browser.serving import PreparedAPI

NESTED = '[[1, [2, {"a": [true, {"b/c": {"~d": "found"}}]}]], -2.5e+3]'

CALL = """async ([url, name, values]) => {
    const { scan, locate, Lines } = await import(url);
    const functions = {
        faults: (texts) => texts.map((text) => scan(text).fault),
        ranges: (text, pointers) => pointers.map((pointer) => locate(scan(text).root, pointer)),
        key: (text, pointer) => locate(scan(text).root, pointer, { wantsKey: true }),
        positions: (text, offsets) => offsets.map((offset) => {
            const lines = new Lines(text);
            const [line, column] = [lines.lineOf(offset), lines.columnOf(offset)];
            return [line, column, lines.offsetOf(line, column)];
        }),
    };
    return functions[name](...values);
}"""

STRICT = [
    *('{"a": [1, 2.5e-3, "x", true, false, null, {}, []]}', " 7 ", '"\\u00e4\\n\\/"', "-0", "0.5", "1E9", '"é𝄞"'),
    *("", " ", "{", "[", "[1", "[1,", "[1,]", "[,1]", '{"a"', '{"a":', '{"a":1,}', "{a:1}", "{'a':1}", '{"a" 1}'),
    *('{"a":1 "b":2}', "[1 2]", "[1]]", "1 2", "nul", "truely", "NaN", "Infinity", "-", "01", "1.", ".5", "+1", "1e"),
    *('"', '"a', '"\\', '"\\x"', '"\\u12g4"', '"\\u12"', '"a\nb"', '"a\tb"', "\ufeff1", "\xa01", "/* */1"),
    *('{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"":1,"":2}', '[{"a":1},{"a":2}]', '{"__proto__":1,"constructor":2}'),
    *('"\\u0000"', '"\\ud800"', '"\\ud834\\udd1e"', '{"\\udfff":1}', "1e999", "-1e999", "1e-999", "9" * 400 + ".0"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "1" * 5000),
    *("[" * 64 + "]" * 64, "[" * 65 + "]" * 65, "[" * 100_000, '{"a":' * 65 + "1" + "}" * 65),
]


@pytest.fixture
def call(page: Page, api: PreparedAPI) -> Any:
    """A function that calls one of the functions above in the browser."""
    log_in(page, api.url, api.token)
    page.goto(f"{api.url}/new")
    script = page.locator("script[type=module]").get_attribute("src")
    assert script is not None
    url = script.replace("new_job.js", "json_text.js")
    return lambda name, *values: page.evaluate(CALL, [url, name, values])


def is_strict(text: str) -> bool:
    try:
        parse_json(text.encode())
    except MalformedJSON:
        return False
    return True


def test_it_refuses_what_the_service_refuses_as_json(call: Any) -> None:
    faults = call("faults", STRICT)
    # The byte order mark is the encoding's in a body, and a character in a text.
    expected = [is_strict(text) and not text.startswith("\ufeff") for text in STRICT]
    assert {text[:40]: fault is None for text, fault in zip(STRICT, faults, strict=True)} == {
        text[:40]: accepted for text, accepted in zip(STRICT, expected, strict=True)
    }


WRONG = {
    '{"a": 1,}': ("key", 8),
    '{"a": 1 "b": 2}': ("object_end", 8),
    '{"a" 1}': ("colon", 5),
    "[1, ]": ("value", 4),
    "[1 2]": ("array_end", 3),
    '["a, 1]': ("string_end", 1),
    '["a\nb"]': ("control", 3),
    '["\\q"]': ("escape", 2),
    "{} {}": ("end", 3),
    '{"ab": 1, "a\\u0062": 2}': ("duplicate", 10),
    "[1, NaN]": ("value", 4),
    "[1e999]": ("number", 1),
    '[0, "\\ud800"]': ("character", 4),
    "[" * 65: ("deep", 64),
}


def test_it_says_what_is_wrong_and_where(call: Any) -> None:
    found = [(fault["kind"], fault["offset"]) for fault in call("faults", list(WRONG))]
    assert dict(zip(WRONG, found, strict=True)) == WRONG


def every_pointer(value: Any, keys: tuple[str | int, ...] = ()) -> list[tuple[str, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(pointer_to(*keys), value)] + [found for key, item in items for found in every_pointer(item, (*keys, key))]


@pytest.mark.parametrize(
    "text",
    [
        NESTED,
        '{"a": {"b": [1, {"c": null}]}, "": "empty", "x": ""}',
        '{"\\u00e4\\"/~": [1], "k\\n": {"": [[], {}]}, "𝄞": "𝄞"}',
        '  [ "a, b]", "{\\"c\\": 1}" , {"d" :\n 1e-5 } ]\n',
    ],
)
def test_the_pointer_to_each_value_leads_to_its_text(call: Any, text: str) -> None:
    found = every_pointer(json.loads(text))
    assert len(found) > 4
    ranges = call("ranges", text, [pointer for pointer, _ in found])
    encoded = text.encode("utf-16-le")  # offsets of scripts count the units of UTF-16
    texts = [encoded[2 * range["start"] : 2 * range["end"]].decode("utf-16-le") for range in ranges]
    assert [json.loads(part) for part in texts] == [value for _, value in found]
    assert all(range["isExact"] for range in ranges)


NEAREST = {
    ('{"a": {"b": 1}}', "/a/c"): (6, 7),
    ('{"a": {"b": 1}}', "/x/y"): (0, 1),
    ('{"a": [1, 2]}', "/a/2"): (6, 7),
    ('{"a": [1, 2]}', "/a/-"): (6, 7),
    ('{"a": [1, 2]}', "/a/01"): (6, 7),
    ('{"a": "{\\"b\\": 1}"}', "/a/b"): (6, 18),  # a model may be the string that `to_json` returns
    ('{"a": 1, "b"', "/b"): (9, 12),
}


def test_the_nearest_value_is_found_where_the_text_does_not_have_it(call: Any) -> None:
    for (text, pointer), (start, end) in NEAREST.items():
        assert call("ranges", text, [pointer]) == [{"start": start, "end": end, "isExact": False}], (text, pointer)


def test_what_stands_before_a_fault_is_found(call: Any) -> None:
    assert call("ranges", '{"a": [1, {"b": 2', ["/a/1/b"]) == [{"start": 16, "end": 17, "isExact": True}]


def test_a_key_can_be_found_in_place_of_its_value(call: Any) -> None:
    text = '{"fit": {"epoch": 2}}'
    range = call("key", text, "/fit/epoch")
    assert text[range["start"] : range["end"]] == '"epoch"'


def test_of_a_key_that_occurs_twice_the_last_value_counts(call: Any) -> None:
    [range] = call("ranges", '{"a": 1, "a": 23}', ["/a"])
    assert (range["start"], range["end"]) == (14, 16)


def test_what_is_not_a_pointer_leads_nowhere(call: Any) -> None:
    assert call("ranges", "{}", ["Idempotency-Key"]) == [None]
    assert call("ranges", "", [""]) == [None]


def test_lines_and_columns_count_characters_from_one(call: Any) -> None:
    text = "ab\n𝄞x\n\nend"
    assert call("positions", text, [0, 2, 3, 5, 7, 8, 11]) == [
        [1, 1, 0], [1, 3, 2], [2, 1, 3], [2, 2, 5], [3, 1, 7], [4, 1, 8], [4, 4, 11],
    ]  # fmt: skip
