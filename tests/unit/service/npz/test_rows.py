"""Rows that are read from an `.npz`: what NumPy reads, within bounds, whatever the file is."""

import io
import json
import math
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.npz import NoArray, NotNumbers, Rejected, Rows, TooFar, read_rows, rows
from service.npz.headers import DTYPES
from service.npz.rows import MAX_JSON, MAX_ROWS, MAX_VALUES

NDArray = np.ndarray[Any, np.dtype[Any]]


def saved(*, compressed: bool = False, **members: NDArray) -> io.BytesIO:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **members)  # type: ignore[arg-type] # kwargs of a union
    file.seek(0)
    return file


def archive(compression: int = zipfile.ZIP_STORED, **members: bytes) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    file.seek(0)
    return file


def npy(array: NDArray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def as_read(read: Rows, like: NDArray) -> NDArray:
    """Return the values as an array, with NaN and the infinities where `non_finite` says that they are."""
    values = np.array(read.rows, dtype=object).reshape(-1)
    for word, indices in read.non_finite.items():
        for index in indices:
            assert values[index] is None
            values[index] = float(word)
    return values.astype(like.dtype).reshape(like.shape)


def is_equal(first: NDArray, second: NDArray) -> bool:
    return bool(np.array_equal(first, second, equal_nan=first.dtype.kind == "f"))


shapes = arrays.array_shapes(min_dims=1, max_dims=4, max_side=6)
dtypes = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: st.sampled_from([np.dtype(name), np.dtype(name).newbyteorder(">")])
)


@given(
    array=dtypes.flatmap(lambda dtype: arrays.arrays(dtype, shapes)),
    first=st.integers(0, 7),
    count=st.integers(1, 7),
    order=st.sampled_from("CF"),
    compressed=st.booleans(),
)
def test_rows_are_those_that_numpy_reads(array: NDArray, first: int, count: int, order: Any, compressed: bool) -> None:
    file = saved(other=np.arange(99), x=np.array(array, order=order), compressed=compressed)
    read = read_rows(file, "x", first, count)
    expected = array[first : first + count]
    assert (read.shape, read.dtype, read.is_cut) == (array.shape, array.dtype.name, False)
    assert len(read.rows) == len(expected)
    assert is_equal(as_read(read, expected), expected)
    json.dumps(read.rows, allow_nan=False)


def test_an_npy_has_one_array() -> None:
    assert read_rows(io.BytesIO(npy(np.eye(2))), "arr_0", 0, 5).rows == [[1, 0], [0, 1]]
    with pytest.raises(NoArray):
        read_rows(io.BytesIO(npy(np.eye(2))), "x", 0, 5)


def test_a_number_without_axes_is_one_row() -> None:
    read = read_rows(saved(x=np.float32(0.1)), "x", 0, 5)
    assert (read.shape, read.rows) == ((), [0.1])


def test_floats_have_no_more_digits_than_they_need() -> None:
    values = np.array([0.1, 1 / 3, 16777217, 3.4028235e38, 1e-45, -0.0], "float32")
    assert json.dumps(read_rows(saved(x=values), "x", 0, 9).rows) == (
        "[0.1, 0.333333343, 16777216.0, 3.40282347e+38, 1.401298e-45, -0.0]"
    )
    assert read_rows(saved(x=np.array([0.1, 1 / 3], "float16")), "x", 0, 9).rows == [0.1, 0.33325]


def test_values_that_json_lacks_are_null_and_named() -> None:
    x = np.array([[1, np.nan, np.inf], [-np.inf, 5, np.nan]])
    read = read_rows(saved(x=x), "x", 0, 2)
    assert read.rows == [[1, None, None], [None, 5, None]]
    assert read.non_finite == {"NaN": [1, 5], "Infinity": [2], "-Infinity": [3]}


def test_an_array_without_values_has_empty_rows() -> None:
    assert read_rows(saved(x=np.zeros((3, 0, 2))), "x", 1, 5).rows == [[], []]
    assert read_rows(saved(x=np.zeros((0, 4))), "x", 0, 5).rows == []
    assert not read_rows(saved(x=np.zeros((3, 0, 2))), "x", 1, 5).is_cut


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("compressed", [False, True])
def test_more_columns_than_fit_are_cut(order: Any, compressed: bool) -> None:
    x = np.arange(100 * 4000, dtype="int32").reshape((100, 4000), order=order)
    read = read_rows(saved(x=x, compressed=compressed), "x", 10, 50)
    assert read.is_cut
    columns = len(read.rows[0])
    assert 1000 < columns < 4000
    assert is_equal(as_read(read, x[10:60, :columns]), x[10:60, :columns])


@pytest.mark.parametrize("order", ["C", "F"])
def test_fewer_images_are_whole_images(order: Any) -> None:
    x = np.asarray(np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3)), "uint8", order=order)
    read = read_rows(saved(x=x), "x", 0, 40)
    assert read.is_cut
    assert 2 < len(read.rows) < 40
    assert is_equal(as_read(read, x[: len(read.rows)]), x[: len(read.rows)])


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_image_that_is_too_large_is_cut(order: Any) -> None:
    x = np.asarray(np.random.default_rng(0).integers(0, 256, (2, 300, 400, 3)), "uint8", order=order)
    read = read_rows(saved(x=x), "x", 1, 2)
    [height, width, channels] = np.array(read.rows[0]).shape
    assert read.is_cut
    assert is_equal(as_read(read, x[1:, :height, :width, :channels]), x[1:, :height, :width, :channels])


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "worst",
    [
        np.full((200, 5000), np.nan),
        np.full((200, 5000), np.nan, "float16"),
        np.full((200, 5000), -1.7976931348623157e308),
        np.full((200, 5000), -2.2250738585072014e-308),
        np.full((200, 5000), -1234567890123456.5),
        np.full((200, 5000), -123456789.0e7, "float32"),
        np.full((200, 5000), -1.17549435e-38, "float32"),
        np.full((200, 5000), -6.1035e-05, "float16"),
        np.full((200, 5000), -(2**63)),
        np.full((200, 5000), 2**64 - 1, "uint64"),
        np.full((200, 5000), -128, "int8"),
        np.full((200, 5000), True),
        np.full((200, 5000, 1, 1, 1, 1, 1, 1), 255, "uint8"),
        np.full((200, *([1] * 15)), 255, "uint8"),
        np.full((1, 1_000_000), 255, "uint8"),
        np.full(1_000_000, -1e-300),
    ],
    ids=lambda array: f"{array.dtype}-{array.ndim}-{array.flat[0]}",
)
def test_no_answer_has_more_than_a_mebibyte(worst: NDArray, compressed: bool) -> None:
    read = read_rows(saved(x=worst, compressed=compressed), "x", 0, MAX_ROWS)
    text = json.dumps([read.rows, read.non_finite], separators=(",", ":"))
    assert len(text) < MAX_JSON - 4096
    assert 0 < np.array(read.rows, dtype=object).size <= MAX_VALUES


def test_rows_beyond_the_end_are_none() -> None:
    read = read_rows(saved(x=np.eye(3), compressed=True), "x", 2**39, 5)
    assert (read.rows, read.is_cut) == ([], False)


def test_what_is_too_far_in_a_compressed_array_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_PASSED", 8000)
    x = np.arange(2000.0).reshape(20, 100)
    read = read_rows(saved(x=x, compressed=True), "x", 8, 20)
    assert (len(read.rows), read.is_cut) == (3, True), "the rows that are near enough"
    with pytest.raises(TooFar):
        read_rows(saved(x=x, compressed=True), "x", 11, 20)
    assert read_rows(saved(x=x), "x", 19, 1).rows == [x[19].tolist()], "what is stored is entered in the middle"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_large_array_in_fortran_order_is_cut_to_its_first_columns(
    monkeypatch: pytest.MonkeyPatch, compressed: bool
) -> None:
    monkeypatch.setattr(rows, "MAX_PASSED", 8000)
    x = np.asfortranarray(np.arange(4000.0).reshape(100, 40))
    read = read_rows(saved(x=x, compressed=compressed), "x", 90, 5)
    assert (read.rows, read.is_cut) == (x[90:95, :10].tolist(), True)


class CountingFile(io.BytesIO):
    """A file that counts the bytes that were read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.bytes_read += len(data)
        return data


def test_no_more_is_read_than_needed() -> None:
    x = np.zeros((100_000, 10))
    stored = CountingFile(saved(x=x, y=x).getvalue())
    read_rows(stored, "y", 90_000, 20)
    assert stored.bytes_read < 20 * 80 + 2000
    x = np.random.default_rng(0).random((100_000, 10))
    compressed = CountingFile(saved(x=x, compressed=True).getvalue())
    read_rows(compressed, "x", 0, 20)
    assert compressed.bytes_read < 100_000


OBJECTS = npy(np.array([{}], object))
TEXT = npy(np.array(["a"]))
SHORT = npy(np.arange(100))[:-8]
HUGE = npy(np.arange(3)).replace(b"(3,)", b"(9,)")


@pytest.mark.parametrize(
    ("content", "error"),
    [(OBJECTS, NotNumbers), (TEXT, NotNumbers), (SHORT, Rejected), (HUGE, Rejected), (b"", Rejected), (b"x", Rejected)],
)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_is_not_an_array_of_numbers_is_refused(content: bytes, error: type[Exception], compression: int) -> None:
    with pytest.raises(error):
        read_rows(archive(compression, x=content), "x", 0, 5)


def test_a_member_that_claims_to_be_larger_than_it_is_is_refused() -> None:
    content = npy(np.arange(1000))
    longer = content.replace(b"(1000,)", b"(9999,)")
    file = archive(x=longer).getvalue()
    lying = file.replace(len(longer).to_bytes(4, "little"), (len(longer) + 8 * 8999).to_bytes(4, "little"))
    assert lying != file
    with pytest.raises(Rejected):
        read_rows(io.BytesIO(lying), "x", 5000, 5)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(compression: int) -> None:
    with pytest.raises(Rejected):
        read_rows(archive(compression, x=npy(np.arange(1000))), "x", 0, 5)


@given(st.data())
def test_a_damaged_file_is_read_or_refused(data: Any) -> None:
    x = np.arange(60, dtype="int16").reshape(20, 3)
    content = bytearray(saved(x=x, y=x, compressed=data.draw(st.booleans())).getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(len(content) // 2, len(content))) :]
    try:
        read = read_rows(io.BytesIO(bytes(content)), "x", 0, MAX_ROWS)
    except (NoArray, NotNumbers, Rejected, TooFar):
        return
    assert np.array(read.rows, dtype=object).size <= math.prod(read.shape)
