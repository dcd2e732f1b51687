"""Stored files that are read anywhere."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.storage import Storage
from service.storage.seekable import seekable

KEY = "datasets/ds_1.npz"
MIB = 1024**2


def test_a_zip_file_is_read_in_ranges(storage: Storage, write_file: Callable[[bytes], Path], tmp_path: Path) -> None:
    members = {name: os.urandom(size) for name, size in (("small", 10), ("large", 3 * MIB), ("last", 0))}
    with zipfile.ZipFile(tmp_path / "written.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    size = (tmp_path / "written.zip").stat().st_size
    storage.put(KEY, write_file((tmp_path / "written.zip").read_bytes()))
    file = seekable(lambda start, length: b"".join(storage.open(KEY, start, length)), size)
    with file, zipfile.ZipFile(file) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == members


class Ranges:
    """A file in memory, and the ranges of it that were read."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.read: list[tuple[int, int]] = []

    def __call__(self, start: int, length: int) -> bytes:
        assert 0 <= start < start + length <= len(self.content), "only what is there"
        self.read.append((start, length))
        return self.content[start : start + length]


@given(st.lists(st.tuples(st.integers(0, 300_000), st.integers(0, 150_000)), max_size=8))
def test_each_read_returns_what_stands_there(reads: list[tuple[int, int]]) -> None:
    content = bytes(range(251)) * 1000
    file = seekable(Ranges(content), len(content))
    for start, length in reads:
        assert file.seek(start) == start
        assert file.read(length) == content[start : start + length]
    file.seek(-5, 2)
    assert file.read() == content[-5:]


def test_who_reads_on_gets_larger_blocks_and_who_seeks_gets_small_ones() -> None:
    ranges = Ranges(bytes(40 * MIB))
    file = seekable(ranges, 40 * MIB)
    while file.read(MIB):
        pass
    assert len(ranges.read) < 20
    ranges.read.clear()
    for start in range(0, 30 * MIB, 10 * MIB):
        file.seek(start)
        assert len(file.read(100)) == 100
    assert sum(length for _, length in ranges.read) < MIB


def test_nothing_is_before_the_beginning() -> None:
    file = seekable(Ranges(b"0123"), 4)
    with pytest.raises(ValueError, match="before its beginning"):
        file.seek(-5, 2)
