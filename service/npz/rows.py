"""Reads some rows of an array in an `.npz`, or a `.npy`, without the rest of the file, and without NumPy.

A row is what the array has at one index of its first axis. What is stored is read in place; what is deflated is read up
to the rows, as far as `MAX_PASSED`. The file was inspected at the upload, and is trusted as little as then.
"""

import itertools
import math
import operator
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Final

from fitqueue.datasets import SINGLE_ARRAY
from fitqueue.non_finite import NonFinite, word_of
from service.npz.headers import MAGIC, Header, Rejected, read_header
from service.npz.members import SUFFIX, BoundedFile, is_readable

MAX_ROWS: Final = 100
MAX_VALUES: Final = 100_000
MAX_JSON: Final = 1024**2
_REST_OF_JSON: Final = 8192
"""What an answer has beside the values, at most."""

MAX_PASSED: Final = 256 * 1024**2
"""Bytes of an array that are passed over, at most: in a deflated one they all have to be inflated."""

_CHUNK: Final = 1024**2
_LOCAL_HEADER: Final = struct.Struct("<4s22xHH")
_LOCAL_MAGIC: Final = b"PK\x03\x04"

_CODES: Final = {
    "bool": "B", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I",
    "uint64": "Q", "float16": "e", "float32": "f", "float64": "d",
}  # fmt: skip
"""The codes of `struct`."""

_CHARACTERS: Final = {
    "bool": 1, "int8": 4, "int16": 6, "int32": 11, "int64": 20, "uint8": 3, "uint16": 5, "uint32": 10, "uint64": 20,
    "float16": 12, "float32": 20, "float64": 25,
}  # fmt: skip
"""The characters that a value takes in JSON, at most. NaN takes `null` and its index."""

_DIGITS: Final = {"e": (3, 5), "f": (7, 9)}
"""How many digits a float needs in order to be read back as itself: many need the first number, none more than the
second."""

Value = int | float


class NoArray(Exception):
    """The file has no array with this name."""


class TooFar(Exception):
    """The rows are too far from the beginning of a deflated array, or of one in Fortran order."""


@dataclass(frozen=True)
class Rows:
    """Some rows of an array.

    Attributes:
        shape: the shape of the whole array.
        rows: for each row its values, nested as its axes are. NaN and the infinities are None.
        non_finite: where they are, by their words: their indices among all values that were returned.
        is_cut: whether rows are missing that the array has and that were asked for, or they are not whole.
    """

    shape: tuple[int, ...]
    dtype: str
    rows: list[Any]
    non_finite: dict[NonFinite, list[int]]
    is_cut: bool


def read_rows(file: BinaryIO, name: str, first: int, count: int) -> Rows:
    """Return the rows of an array from the index `first` on.

    At most `MAX_VALUES` are returned, and no more than fit into `MAX_JSON`. A table with more columns is cut after the
    last one that fits. Of other arrays fewer rows are returned; a single one that does not fit is cut.

    Args:
        file: the `.npz` or `.npy`; it can seek.
        name: the name of the array.
        first: the index of the first row. Beyond the end of the array there are none.
        count: how many rows to return, at most.

    Raises:
        NoArray: the file has no array with this name.
        Rejected: it cannot be read.
        NotNumbers: the array does not hold plain numbers.
        TooFar: too much would have to be passed over.
    """
    try:
        return _read(_open(file, name), first, count)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise Rejected(f"it cannot be read: {error}") from error


# --- Where the array is ----------------------------------------------------------------------------------------------


class _Array:
    """An array in a file, up to the numbers."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        """Read the header.

        Args:
            file: the file, at the beginning of the array.
            size: how many bytes the array takes, with its header.
        """
        self.header = read_header(file)
        if self.header.declared_bytes != size:
            raise Rejected(f"its header declares {self.header.declared_bytes} bytes, but the file holds {size}")
        self._file = file
        self._position = 0

    def read(self, start: int, size: int) -> bytes:
        """Return some bytes of the numbers. Each call reads behind the one before it.

        Raises:
            Rejected: the file ends before them.
            TooFar: too much would have to be passed over.
        """
        self._pass_over(start - self._position)
        data = self._file.read(size)
        self._position = start + size
        if len(data) != size:
            raise Rejected("it ends within its numbers")
        return data

    def _pass_over(self, size: int) -> None:
        """Inflate and forget: what is deflated cannot be entered in the middle."""
        if self._position + size > MAX_PASSED:
            raise TooFar
        while size:
            passed = len(self._file.read(min(size, _CHUNK)))
            if not passed:
                raise Rejected("it ends within its numbers")
            size -= passed


class _StoredArray(_Array):
    """An array that is not deflated."""

    def _pass_over(self, size: int) -> None:
        self._file.seek(size, 1)


def _open(file: BinaryIO, name: str) -> _Array:
    if file.read(len(MAGIC)) == MAGIC:
        if name != SINGLE_ARRAY:
            raise NoArray
        size = file.seek(0, 2)
        file.seek(0)
        return _StoredArray(file, size)
    with zipfile.ZipFile(BoundedFile(file)) as archive:
        member = _member(archive, name)
        if member.compress_type != zipfile.ZIP_STORED:
            return _Array(archive.open(member), member.file_size)
    file.seek(member.header_offset)
    magic, name_size, extra_size = _LOCAL_HEADER.unpack(_exactly(file, _LOCAL_HEADER.size))
    if magic != _LOCAL_MAGIC:
        raise Rejected("the file has no member where its list of members says so")
    file.seek(name_size + extra_size, 1)
    return _StoredArray(file, member.file_size)


def _member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    members = [member for member in archive.infolist() if member.filename == name + SUFFIX]
    if not members:
        raise NoArray
    if len(members) > 1 or not is_readable(members[0]):
        raise Rejected("expected one member of this name that is stored or deflated, and not encrypted")
    return members[0]


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise Rejected("it ends within the list of its members")
    return data


# --- What of it to read ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """The part of an array that is read: `count` rows from `first` on, each up to the lengths `kept` of its axes.

    `shape` is that of the array; a single number without axes counts as one row.
    """

    shape: tuple[int, ...]
    first: int
    count: int
    kept: tuple[int, ...]

    @property
    def row_values(self) -> int:
        """How many values of a row are read."""
        return math.prod(self.kept)

    @property
    def has_whole_rows(self) -> bool:
        return self.row_values == math.prod(self.shape[1:])


def _read(array: _Array, first: int, count: int) -> Rows:
    header = array.header
    shape = header.shape or (1,)
    wanted = max(0, min(count, shape[0] - first))
    part = _part(header, shape, first, wanted)
    non_finite: dict[NonFinite, list[int]] = {}
    rows = [
        _nested(_finite(values, index * part.row_values, non_finite), part.kept)
        for index, values in enumerate(_rows_of(array, part))
    ]
    is_cut = len(rows) < wanted or bool(rows and not part.has_whole_rows)
    return Rows(header.shape, header.dtype, rows, non_finite, is_cut)


def _part(header: Header, shape: tuple[int, ...], first: int, wanted: int) -> _Part:
    row_shape = shape[1:]
    in_row = math.prod(row_shape)
    if not wanted or not in_row:  # a shape may be huge and still have no values
        return _Part(shape, first, wanted, (0,) * len(row_shape))
    values = min(MAX_VALUES, (MAX_JSON - _REST_OF_JSON) // (_CHARACTERS[header.dtype] + 1 + 3 * len(row_shape)))
    count = max(1, min(wanted, values // in_row)) if len(row_shape) > 1 else wanted
    return _Part(shape, first, count, _cut(header, shape, values // count))


def _cut(header: Header, shape: tuple[int, ...], values: int) -> tuple[int, ...]:
    """Return how much of each axis of a row is read: what lies together in the file, and has at most so many values."""
    if not header.in_fortran_order:
        return _prefix(shape[1:], values)
    columns = MAX_PASSED // (shape[0] * header.item_size)
    return _prefix(shape[:0:-1], max(1, min(values, columns)))[::-1]


def _prefix(lengths: Sequence[int], values: int) -> tuple[int, ...]:
    """Return the lengths of the axes, the slowest first, cut so that they have at most so many values."""
    kept = []
    for axis, length in enumerate(lengths):
        kept.append(min(length, max(1, values // math.prod(lengths[axis + 1 :]))))
        values //= kept[-1]
    return tuple(kept)


# --- Its values ------------------------------------------------------------------------------------------------------


def _rows_of(array: _Array, part: _Part) -> Iterator[Sequence[Value]]:
    """Yield the values of each row.

    Raises:
        TooFar: not one row is near enough.
    """
    if not part.row_values:
        return itertools.repeat((), part.count)
    return _by_column(array, part) if array.header.in_fortran_order else _by_row(array, part)


def _by_row(array: _Array, part: _Part) -> Iterator[Sequence[Value]]:
    """Yield the rows of an array whose last axis varies fastest; fewer if the others are too far."""
    row_bytes = math.prod(part.shape[1:]) * array.header.item_size
    for row in range(part.first, part.first + part.count):
        try:
            values = _values(array, row * row_bytes, part.row_values)
        except TooFar:
            if row == part.first:
                raise
            return
        yield values


def _by_column(array: _Array, part: _Part) -> Iterator[Sequence[Value]]:
    """Yield the rows of an array whose first axis varies fastest."""
    item_size = array.header.item_size
    starts = [(column * part.shape[0] + part.first) * item_size for column in range(part.row_values)]
    columns = [_values(array, start, part.count) for start in starts]
    order = _fortran_order(part.kept)
    for row in range(part.count):
        yield [columns[column][row] for column in order]


def _fortran_order(lengths: tuple[int, ...]) -> list[int]:
    """Return where each value of a row stands if its first axis varies fastest."""
    steps = [math.prod(lengths[:axis]) for axis in range(len(lengths))]
    indices = itertools.product(*map(range, lengths))
    return [sum(map(operator.mul, each, steps)) for each in indices]


def _values(array: _Array, start: int, count: int) -> Sequence[Value]:
    header = array.header
    data = array.read(start, count * header.item_size)
    order = ">" if header.descr.startswith(">") else "<"
    code = _CODES[header.dtype]
    values = struct.unpack(f"{order}{count}{code}", data)
    if header.dtype == "bool":
        return [int(value != 0) for value in values]
    return _shortened(values, code) if code in _DIGITS else values


def _shortened(values: Sequence[float], code: str) -> list[float]:
    """Return floats with few digits that are read back as the same number: 0.1, and not 0.10000000149011612."""
    few, enough = _DIGITS[code]
    shortened = [float(f"{value:.{few}g}") for value in values]
    type_ = struct.Struct(f"<{len(values)}{code}")
    read_back = type_.unpack(type_.pack(*shortened))
    return [
        short if back == value else float(f"{value:.{enough}g}")
        for value, short, back in zip(values, shortened, read_back, strict=True)
    ]


def _finite(values: Sequence[Value], index: int, non_finite: dict[NonFinite, list[int]]) -> list[Value | None]:
    """Return the values of a row with None for those that JSON lacks, and add their indices to `non_finite`.

    Args:
        values: the values of a row.
        index: that of the first of them.
        non_finite: the indices by word.
    """
    finite: list[Value | None] = list(values)
    for offset, value in enumerate(values):
        if (word := word_of(value)) is not None:
            non_finite.setdefault(word, []).append(index + offset)
            finite[offset] = None
    return finite


def _nested(values: list[Value | None], lengths: tuple[int, ...]) -> Any:
    """Return the values of a row as lists in lists, one level for each axis; the value itself if it has no axes."""
    if not lengths:
        return values[0]
    nested: list[Any] = values
    for length in reversed(lengths[1:]):
        nested = [nested[start : start + length] for start in range(0, len(nested), length or 1)]
    return nested
