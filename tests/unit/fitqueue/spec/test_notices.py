"""Notices that say the same of several places are one notice."""

from fitqueue.spec.notices import grouped
from fitqueue.views import Notice


def notice(pointer: str, message: str = "It is left out.", code: str = "ignored") -> Notice:
    return Notice(pointer=pointer, code=code, message=message)


def test_equal_sentences_are_one_notice_with_all_places() -> None:
    found = grouped([notice("/a/0"), notice("/b", "It is read as 3."), notice("/a/1"), notice("/a/2")])
    assert [(each.pointer, each.message, each.pointers) for each in found] == [
        ("/a/0", "It is left out.", ["/a/0", "/a/1", "/a/2"]),
        ("/b", "It is read as 3.", ["/b"]),
    ]


def test_the_same_sentence_with_another_code_is_another_notice() -> None:
    assert len(grouped([notice("/a"), notice("/b", code="suspicious")])) == 2


def test_a_place_is_listed_once() -> None:
    assert grouped([notice("/a"), notice("/a")])[0].pointers == ["/a"]


def test_a_notice_that_was_stored_without_its_places_has_one() -> None:
    assert Notice.model_validate({"pointer": "/a", "code": "ignored", "message": "x"}).pointers == ["/a"]
