"""Notices that say the same of several places are one notice."""

from fitqueue.spec.notices import grouped
from fitqueue.views import Notice


def notice(pointer: str, message: str = "It is left out.", code: str = "ignored") -> Notice:
    return Notice(pointer=pointer, code=code, message=message)


def test_equal_sentences_are_one_notice_with_all_places() -> None:
    found = grouped([notice("/0/axis"), notice("/b", "It is read as 3."), notice("/1/axis"), notice("/2/axis/0")])
    assert [(each.pointer, each.message, each.pointers) for each in found] == [
        ("/0/axis", "It is left out.", ["/0/axis", "/1/axis", "/2/axis/0"]),
        ("/b", "It is read as 3.", ["/b"]),
    ]


def test_the_same_sentence_about_another_argument_is_another_notice() -> None:
    assert [each.pointer for each in grouped([notice("/fit/steps"), notice("/fit/size")])] == [
        "/fit/steps",
        "/fit/size",
    ]


def test_the_same_sentence_with_another_code_is_another_notice() -> None:
    assert len(grouped([notice("/a"), notice("/b", code="suspicious")])) == 2


def test_a_place_is_listed_once() -> None:
    assert grouped([notice("/a"), notice("/a")])[0].pointers == ["/a"]


def test_notices_that_are_too_many_are_counted_in_the_last_one() -> None:
    found = grouped(notice(f"/{i}", f"It is read as {i}.") for i in range(150))
    assert [each.pointer for each in found] == [*(f"/{i}" for i in range(99)), ""]
    assert (found[-1].code, found[-1].message) == ("more", "There are 51 more notices, which are left out.")
    assert len(grouped(notice(f"/{i}", f"It is read as {i}.") for i in range(100))) == 100


def test_a_notice_about_very_many_places_lists_the_first() -> None:
    [found] = grouped(notice(f"/{i}/axis") for i in range(150))
    assert found.pointers == [f"/{i}/axis" for i in range(100)]


def test_a_notice_that_was_stored_without_its_places_has_one() -> None:
    assert Notice.model_validate({"pointer": "/a", "code": "ignored", "message": "x"}).pointers == ["/a"]
