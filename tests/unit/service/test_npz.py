"""Which files are accepted as data sets, compared with NumPy, and every way in which a file can misreport itself."""

import contextlib
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitqueue.datasets import ArrayInfo
from fitqueue.errors import InvalidDataset
from service import npz

LIMIT = 10**9
DTYPES = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def _npy(array: Any, **changes: Any) -> bytes:
    """Return an .npy file. With `changes` its header does not match the array."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array))
    if not changes:
        return file.getvalue()
    header = {"descr": np.asarray(array).dtype.str, "fortran_order": False, "shape": np.shape(array), **changes}
    text = (repr(header) + "\n").encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + np.asarray(array).tobytes()


def _write(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip file of these members, and return its path."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _refusal_message(path: Path, limit: int = LIMIT) -> str:
    """Inspect a file that must be refused, and return the message."""
    with pytest.raises(InvalidDataset) as error:
        npz.inspect(path, limit)
    return str(error.value)


@given(
    dtype=st.sampled_from([*DTYPES, "float16", "float32", "float64"]),
    shape=st.lists(st.integers(0, 5), max_size=5),
    compressed=st.booleans(),
)
def test_names_shapes_and_dtypes_are_those_that_numpy_reads(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, shape: list[int], compressed: bool
) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    save = np.savez_compressed if compressed else np.savez
    save(path, first=np.zeros(shape, dtype), second=np.arange(3))
    arrays = npz.inspect(path, LIMIT)
    with np.load(path, allow_pickle=False) as loaded:
        expected = {name: ArrayInfo(loaded[name].shape, loaded[name].dtype.name) for name in loaded.files}
    assert list(arrays.items()) == list(expected.items())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([{}], dtype=object), "its type is '|O'"),
        (np.array(["a"]), "its type is '<U1'"),
        (np.array([1j]), "its type is '<c16'"),
        (np.zeros(2, ">f4"), "its type is '>f4'"),
        (np.zeros(2, [("a", "f4")]), "its type is "),
        (np.array(["2020"], "datetime64[s]"), "its type is '<M8[s]'"),
        (np.asfortranarray(np.ones((2, 3))), "Fortran order"),
    ],
    ids=str,
)
def test_arrays_that_are_not_plain_numbers_are_refused(tmp_path: Path, array: Any, message: str) -> None:
    np.savez(tmp_path / "a.npz", good=np.ones(2), bad=array)
    with pytest.raises(InvalidDataset) as error:
        npz.inspect(tmp_path / "a.npz", LIMIT)
    [fault] = error.value.errors
    assert fault.pointer == "bad.npy"
    assert message in fault.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (10**9,)}, "its header declares 4000000075 bytes, but the file holds 87"),
        ({"shape": (2**62, 4)}, "its shape is"),
        ({"shape": (-1,)}, "its shape is"),
        ({"shape": (True,)}, "its shape is"),
        ({"shape": [3]}, "its shape is"),
        ({"shape": (1,) * 17}, "its shape is"),
        ({"shape": (2,)}, "bytes, but the file holds"),
        ({"descr": "<f4", "extra": 1}, "expected a header with"),
        ({"descr": ["<f4"]}, "its type is"),
        ({"fortran_order": 0}, "Fortran order"),
    ],
    ids=str,
)
def test_headers_that_do_not_match_their_array_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    array = np.zeros(3, "float32")
    path = _write(tmp_path / "a.npz", {"x.npy": _npy(array, **changes)})
    assert message in _refusal_message(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff",
        b"\x93NUMPY\x09\x00\x10\x00" + b" " * 16,
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"\x93NUMPY\x01\x00\x04\x00{}{}",
        b"\x93NUMPY\x01\x00\x00\x08" + b"(" * 2048,
        b"\x93NUMPY\x01\x00\x10\x00__import__('os')",
        b"\x80\x04\x95 a pickle",
    ],
    ids=lambda content: repr(content[:12]),
)
def test_members_that_are_not_arrays_are_refused(tmp_path: Path, content: bytes) -> None:
    assert "1 of 1 arrays are not accepted." in _refusal_message(_write(tmp_path / "a.npz", {"x.npy": content}))


@pytest.mark.parametrize("name", ["../x.npy", "/etc/x.npy", "x.txt", "a/b.npy", ".npy", "1.npy", "x" * 200 + ".npy"])
def test_invalid_names_of_arrays_are_refused(tmp_path: Path, name: str) -> None:
    assert "expected a name" in _refusal_message(_write(tmp_path / "a.npz", {name: _npy([1])}))


def test_two_arrays_with_the_same_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", _npy([1]))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x.npy", _npy([2]))
    assert "two arrays have this name" in _refusal_message(path)


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.npz", {"x.npy": b"", "y.npy": _npy([1]), "z.txt": b""})
    with pytest.raises(InvalidDataset) as error:
        npz.inspect(path, LIMIT)
    assert [fault.pointer for fault in error.value.errors] == ["x.npy", "z.txt"]


def test_a_zip_bomb_is_refused_for_its_declared_size(tmp_path: Path) -> None:
    zeros = _npy(np.zeros(10_000_000, "uint8"))
    path = _write(tmp_path / "a.npz", {"x.npy": zeros}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    assert "at most 1000000 are accepted" in _refusal_message(path, limit=1_000_000)


def test_a_member_longer_than_the_archive_declares_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.npz", {"x.npy": _npy(np.zeros(1000, "uint8"))})
    content = bytearray(path.read_bytes())
    size_offset = content.rindex(b"PK\x01\x02") + 24
    content[size_offset : size_offset + 4] = struct.pack("<I", 200)
    path.write_bytes(content)
    assert "it cannot be read: Bad CRC-32" in _refusal_message(path)


def test_other_compression_methods_are_refused(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = _write(tmp_path / "a.npz", {"x.npy": _npy([1])}, method)
        assert "stored or deflated" in _refusal_message(path)


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    members = {f"x{n}.npy": _npy([1]) for n in range(npz.MAX_ARRAYS + 1)}
    assert "at most 64" in _refusal_message(_write(tmp_path / "a.npz", members))
    _write(tmp_path / "b.npz", {f"x{n}.npy" + "y" * 5_000: b"" for n in range(1_000)})
    assert "list of members is too long" in _refusal_message(tmp_path / "b.npz")


@given(content=st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    path.write_bytes(content)
    _refusal_message(path)


@given(offset=st.integers(0, 600), byte=st.integers(0, 255))
def test_a_damaged_file_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, offset: int, byte: int) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    np.savez_compressed(path, x=np.arange(50), y=np.ones((3, 3), "float32"))
    content = bytearray(path.read_bytes())
    content[offset % len(content)] = byte
    path.write_bytes(content)
    # Damage in the numbers is not detected. All other damage raises InvalidDataset and nothing else.
    with contextlib.suppress(InvalidDataset):
        assert npz.inspect(path, LIMIT).keys() <= {"x", "y"}
