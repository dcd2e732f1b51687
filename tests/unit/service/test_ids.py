import re

from service.ids import ID_PATTERN, new_id


def test_ids_sort_by_creation_time_and_are_unique() -> None:
    ids = [new_id("job") for _ in range(10_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("job" + ID_PATTERN, new) for new in ids)
