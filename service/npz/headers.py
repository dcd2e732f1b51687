"""Parses the header of an `.npy` file: the shape of its array, and how its numbers are stored."""

import ast
import math
import re
import struct
from dataclasses import dataclass
from typing import IO, Any, Final

from fitqueue.text import truncate

MAX_AXES: Final = 16
MAX_HEADER: Final = 4096

MAGIC: Final = b"\x93NUMPY"
_PLAIN_TYPE: Final = re.compile(r"[<>|=]?([biuf])([1248])")
_WORDS: Final = {
    **dict.fromkeys("US", "text"),
    "O": "Python objects",
    "c": "complex numbers",
    "M": "dates",
    "m": "time spans",
    "V": "raw bytes",
}
"""Words for the types that do not hold plain numbers, by NumPy's letter for them."""
_KINDS: Final = {"b": "bool", "i": "int", "u": "uint", "f": "float"}
_DTYPES: Final = ("bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)))
DTYPES: Final = frozenset({*_DTYPES, "float16", "float32", "float64"})
"""The names of the dtypes that Keras can train on."""


class Rejected(Exception):
    """An array, or a file, that is not accepted; the message says why."""


class NotNumbers(Exception):
    """An array that nobody can train on; the message says why."""


@dataclass(frozen=True)
class Header:
    """The header of an array.

    Attributes:
        descr: how one number is stored, as NumPy writes it: kind, size and byte order.
        dtype: the name of the dtype, whatever the byte order.
        in_fortran_order: whether the first axis varies fastest.
        size: the bytes before the numbers.
    """

    shape: tuple[int, ...]
    descr: str
    dtype: str
    item_size: int
    in_fortran_order: bool
    size: int

    @property
    def declared_bytes(self) -> int:
        """The size of the whole file, as the header declares it."""
        return self.size + math.prod(self.shape) * self.item_size


def read_header(file: IO[bytes]) -> Header:
    """Read the header of an array, up to its numbers. The format is NumPy's NEP 1.

    Raises:
        Rejected: it is not the header of an array.
        NotNumbers: the array does not hold plain numbers.
    """
    prefix = _read_exactly(file, 8)
    if prefix[:6] != MAGIC or prefix[6] not in {1, 2, 3}:
        raise Rejected("expected an array in the .npy format, versions 1 to 3")
    length_format = "<H" if prefix[6] == 1 else "<I"
    length_size = struct.calcsize(length_format)
    [length] = struct.unpack(length_format, _read_exactly(file, length_size))
    if length > MAX_HEADER:
        raise Rejected(f"its header is {length} bytes long; at most {MAX_HEADER} are accepted")
    return _parsed(_read_exactly(file, length), 8 + length_size + length)


def _read_exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise Rejected("it ends within its header")
    return data


def _parsed(text: bytes, size: int) -> Header:
    try:
        fields = ast.literal_eval(text.decode("latin-1").strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise Rejected("its header cannot be parsed") from error
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise Rejected("expected a header with descr, fortran_order and shape")
    shape = fields["shape"]
    if not isinstance(shape, tuple) or len(shape) > MAX_AXES or not all(_is_length(axis) for axis in shape):
        raise Rejected(f"its shape is {truncate(str(shape), 60)}; expected at most {MAX_AXES} axes")
    if not isinstance(fields["fortran_order"], bool):
        raise Rejected("expected a fortran_order of True or False")
    descr = fields["descr"]
    dtype, item_size = _dtype(descr)
    return Header(shape, descr, dtype, item_size, fields["fortran_order"], size)


def _is_length(axis: object) -> bool:
    return type(axis) is int and 0 <= axis < 2**40


def _dtype(descr: Any) -> tuple[str, int]:
    """Return the name of a dtype and the bytes of one number."""
    match = _PLAIN_TYPE.fullmatch(descr) if isinstance(descr, str) else None
    size = int(match[2]) if match else 0
    name = "bool" if match and match[1] == "b" else f"{_KINDS[match[1]]}{8 * size}" if match else ""
    if name not in DTYPES or (name == "bool" and size != 1):
        raise NotNumbers(f"its type is {_type_in_words(descr)}, and Keras trains on plain numbers")
    return name, size


def _type_in_words(descr: Any) -> str:
    """Describe a type that does not hold plain numbers, or return NumPy's name of it."""
    code = str(descr).lstrip("<>|=")[:1]
    return "a structure" if isinstance(descr, list) else _WORDS.get(code, repr(truncate(str(descr), 60)))
