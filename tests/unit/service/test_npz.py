"""What is taken as a data set, and every way in which a file may lie about itself. NumPy is the oracle."""

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

from fitqueue.errors import InvalidDataset
from service import npz

LIMIT = 10**9
DTYPES = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def _npy(array: Any, **changes: Any) -> bytes:
    """An .npy file whose header may say something else than the array is."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array))
    if not changes:
        return file.getvalue()
    header = {"descr": np.asarray(array).dtype.str, "fortran_order": False, "shape": np.shape(array), **changes}
    text = (repr(header) + "\n").encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + np.asarray(array).tobytes()


def _write(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _refused(path: Path, limit: int = LIMIT) -> str:
    with pytest.raises(InvalidDataset) as caught:
        npz.inspect(path, limit)
    return str(caught.value)


@given(
    dtype=st.sampled_from([*DTYPES, "float16", "float32", "float64"]),
    shape=st.lists(st.integers(0, 5), max_size=5),
    compressed=st.booleans(),
)
def test_headers_are_read_as_numpy_reads_them(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, shape: list[int], compressed: bool
) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    save = np.savez_compressed if compressed else np.savez
    save(path, first=np.zeros(shape, dtype), second=np.arange(3))
    found = npz.inspect(path, LIMIT)
    with np.load(path, allow_pickle=False) as loaded:
        expected = [(name, list(loaded[name].shape), loaded[name].dtype.name) for name in loaded.files]
    assert [(array.name, array.shape, array.dtype) for array in found] == expected


@pytest.mark.parametrize(
    ("array", "words"),
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
def test_arrays_that_are_not_plain_numbers(tmp_path: Path, array: Any, words: str) -> None:
    np.savez(tmp_path / "a.npz", good=np.ones(2), bad=array)
    with pytest.raises(InvalidDataset) as caught:
        npz.inspect(tmp_path / "a.npz", LIMIT)
    [fault] = caught.value.errors
    assert fault.pointer == "bad.npy"
    assert words in fault.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": (10**9,)}, "declares 4000000075 bytes, and the file holds 87"),
        ({"shape": (2**62, 4)}, "its shape is"),
        ({"shape": (-1,)}, "its shape is"),
        ({"shape": (True,)}, "its shape is"),
        ({"shape": [3]}, "its shape is"),
        ({"shape": (1,) * 17}, "its shape is"),
        ({"shape": (2,)}, "bytes, and the file holds"),
        ({"descr": "<f4", "extra": 1}, "expected a header with"),
        ({"descr": ["<f4"]}, "its type is"),
        ({"fortran_order": 0}, "Fortran order"),
    ],
    ids=str,
)
def test_headers_that_lie(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    array = np.zeros(3, "float32")
    path = _write(tmp_path / "a.npz", {"x.npy": _npy(array, **changes)})
    assert words in _refused(path)


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
def test_members_that_are_no_arrays(tmp_path: Path, content: bytes) -> None:
    assert "1 of 1 arrays cannot be taken" in _refused(_write(tmp_path / "a.npz", {"x.npy": content}))


@pytest.mark.parametrize("name", ["../x.npy", "/etc/x.npy", "x.txt", "a/b.npy", ".npy", "1.npy", "x" * 200 + ".npy"])
def test_names_of_arrays(tmp_path: Path, name: str) -> None:
    assert "expected a name" in _refused(_write(tmp_path / "a.npz", {name: _npy([1])}))


def test_a_name_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", _npy([1]))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x.npy", _npy([2]))
    assert "two of this name" in _refused(path)


def test_all_faults_at_once(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.npz", {"x.npy": b"", "y.npy": _npy([1]), "z.txt": b""})
    with pytest.raises(InvalidDataset) as caught:
        npz.inspect(path, LIMIT)
    assert [fault.pointer for fault in caught.value.errors] == ["x.npy", "z.txt"]


def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    zeros = _npy(np.zeros(10_000_000, "uint8"))
    path = _write(tmp_path / "a.npz", {"x.npy": zeros}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    assert "at most 1000000 are taken" in _refused(path, limit=1_000_000)


def test_a_member_longer_than_the_archive_says(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.npz", {"x.npy": _npy(np.zeros(1000, "uint8"))})
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 24
    content[at : at + 4] = struct.pack("<I", 200)
    path.write_bytes(content)
    assert "it cannot be read: Bad CRC-32" in _refused(path)


def test_methods_that_can_swell_without_bound(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = _write(tmp_path / "a.npz", {"x.npy": _npy([1])}, method)
        assert "stored or deflated" in _refused(path)


def test_too_many_members(tmp_path: Path) -> None:
    members = {f"x{n}.npy": _npy([1]) for n in range(npz.MAX_ARRAYS + 1)}
    assert "at most 64" in _refused(_write(tmp_path / "a.npz", members))
    _write(tmp_path / "b.npz", {f"x{n}.npy" + "y" * 5_000: b"" for n in range(1_000)})
    assert "list of members is too long" in _refused(tmp_path / "b.npz")


@given(content=st.binary(max_size=300))
def test_no_file_breaks_it(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    path.write_bytes(content)
    _refused(path)


@given(position=st.integers(0, 600), byte=st.integers(0, 255))
def test_no_damage_breaks_it(tmp_path_factory: pytest.TempPathFactory, position: int, byte: int) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    np.savez_compressed(path, x=np.arange(50), y=np.ones((3, 3), "float32"))
    content = bytearray(path.read_bytes())
    content[position % len(content)] = byte
    path.write_bytes(content)
    # Damage in the numbers is not looked for; all other damage is told in one way, and nothing else is raised.
    with contextlib.suppress(InvalidDataset):
        assert {array.name for array in npz.inspect(path, LIMIT)} <= {"x", "y"}
