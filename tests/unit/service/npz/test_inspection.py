"""Which files are accepted as data sets, compared with NumPy, and every way in which a file can misreport itself."""

import contextlib
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@settings(deadline=None)
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
    arrays = npz.inspect(path, LIMIT).arrays
    with np.load(path, allow_pickle=False) as loaded:
        expected = {name: (loaded[name].shape, loaded[name].dtype.name) for name in loaded.files}
    assert {name: (array.shape, array.dtype) for name, array in arrays.items()} == expected
    assert list(arrays) == list(expected)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array([{}], dtype=object), "its type is Python objects"),
        (np.array(["a"]), "its type is text"),
        (np.array([b"a"]), "its type is text"),
        (np.array([1j]), "its type is complex numbers"),
        (np.zeros(2, np.longdouble), "its type is '<f16'"),
        (np.zeros(2, [("a", "f4")]), "its type is a structure"),
        (np.array(["2020"], "datetime64[s]"), "its type is dates"),
    ],
    ids=str,
)
def test_arrays_that_nobody_can_train_on_are_left_out(tmp_path: Path, array: Any, reason: str) -> None:
    np.savez(tmp_path / "a.npz", good=np.ones(2), other=array)
    inspection = npz.inspect(tmp_path / "a.npz", LIMIT)
    assert list(inspection.arrays) == ["good"]
    [left_out] = inspection.left_out
    assert left_out.name == "other"
    assert reason in left_out.reason
    np.savez(tmp_path / "b.npz", other=array)
    with pytest.raises(InvalidDataset, match=r"^The file has no array of plain numbers\.") as error:
        npz.inspect(tmp_path / "b.npz", LIMIT)
    assert [(fault.pointer, fault.message) for fault in error.value.errors] == [("other", left_out.reason)]


@pytest.mark.parametrize("byte_order", "<>|=")
@pytest.mark.parametrize("dtype", [*DTYPES, "float16", "float32", "float64"])
def test_any_byte_order_is_accepted(tmp_path: Path, dtype: str, byte_order: str) -> None:
    array = np.arange(2).astype(np.dtype(dtype).newbyteorder(byte_order))
    np.savez(tmp_path / "a.npz", x=array)
    [info] = npz.inspect(tmp_path / "a.npz", LIMIT).arrays.values()
    assert info.dtype == dtype
    assert info.values is not None
    assert (info.values.low, info.values.high) == (0, 1)


def test_fortran_order_is_accepted(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    [info] = npz.inspect(tmp_path / "a.npz", LIMIT).arrays.values()
    assert (info.shape, info.dtype) == ((2, 3), "float64")
    assert info.values is not None
    assert (info.values.low, info.values.high) == (0, 5)


def test_what_file_managers_add_is_ignored(tmp_path: Path) -> None:
    members = {"data/": b"", "data/x.npy": _npy([1]), "__MACOSX/data/._x.npy": b"\0\5\x16\7", "data/.DS_Store": b"Bud1"}
    inspection = npz.inspect(_write(tmp_path / "a.npz", members), LIMIT)
    assert list(inspection.arrays) == ["data/x"]
    assert inspection.left_out == []
    assert "it holds no arrays" in _refusal_message(_write(tmp_path / "b.npz", {".DS_Store": b"Bud1"}))


def test_a_single_npy_is_an_array_without_a_name(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6).reshape(3, 2))
    inspection = npz.inspect(tmp_path / "a.npy", LIMIT)
    assert {name: (array.shape, array.dtype) for name, array in inspection.arrays.items()} == {
        "arr_0": ((3, 2), "int64")
    }
    assert "at most 100 are accepted" in _refusal_message(tmp_path / "a.npy", limit=100)
    content = (tmp_path / "a.npy").read_bytes()
    for cut in (10, len(content) - 1):
        (tmp_path / "a.npy").write_bytes(content[:cut])
        assert "it ends within" in _refusal_message(tmp_path / "a.npy") or "but the file holds" in _refusal_message(
            tmp_path / "a.npy"
        )
    np.save(tmp_path / "b.npy", np.array(["a"]))
    assert "its type is text" in _refusal_message(tmp_path / "b.npy")


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
        ({"fortran_order": 0}, "expected a fortran_order"),
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


@pytest.mark.parametrize("name", ["0", "1", "arr_0", "my array", "a-b.c", "train/x", "标签", "x.npy", "-", "__proto__"])
def test_any_readable_name_is_accepted(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "a.npz", **{name: np.ones(2)})
    assert list(npz.inspect(tmp_path / "a.npz", LIMIT).arrays) == [name]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a//b", "a/../b", "", "x" * 129, "a\nb", "a\u202eb", "a\x1b[1m"])
def test_other_names_of_arrays_are_refused(tmp_path: Path, name: str) -> None:
    assert "expected a name" in _refusal_message(_write(tmp_path / "a.npz", {f"{name}.npy": _npy([1])}))


def test_members_without_the_ending_of_an_array_are_left_out(tmp_path: Path) -> None:
    members = {"README.txt": b"Read me.", "x": _npy([2]), "x.npy": _npy([1])}
    inspection = npz.inspect(_write(tmp_path / "a.npz", members), LIMIT)
    assert list(inspection.arrays) == ["x"]
    assert [(left.name, left.reason) for left in inspection.left_out] == [
        (name, "it is not an array in the .npy format") for name in ("README.txt", "x")
    ]


def test_two_arrays_with_the_same_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", _npy([1]))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x.npy", _npy([2]))
    assert "two arrays have this name" in _refusal_message(path)


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.npz", {"x.npy": b"", "y.npy": _npy([1]), "/z.npy": b""})
    with pytest.raises(InvalidDataset) as error:
        npz.inspect(path, LIMIT)
    assert [fault.pointer for fault in error.value.errors] == ["x.npy", "/z.npy"]


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
    members = {f"x{n}.npy": _npy([1]) for n in range(npz.Limits().arrays + 1)}
    assert "at most 64" in _refusal_message(_write(tmp_path / "a.npz", members))
    _write(tmp_path / "b.npz", {f"x{n}.npy" + "y" * 5_000: b"" for n in range(1_000)})
    assert "list of members is too long" in _refusal_message(tmp_path / "b.npz")


@settings(deadline=None)
@given(content=st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    path.write_bytes(content)
    _refusal_message(path)


@settings(deadline=None)
@given(offset=st.integers(0, 600), byte=st.integers(0, 255))
def test_a_damaged_file_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, offset: int, byte: int) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    np.savez_compressed(path, x=np.arange(50), y=np.ones((3, 3), "float32"))
    content = bytearray(path.read_bytes())
    content[offset % len(content)] = byte
    path.write_bytes(content)
    # Damage raises InvalidDataset and nothing else, unless it is in what nobody reads, or in a name.
    with contextlib.suppress(InvalidDataset):
        assert len(npz.inspect(path, LIMIT).arrays) <= 2


def test_a_member_without_a_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(50))
    path.write_bytes(path.read_bytes().replace(b"x.npy", b"\0.npy"))
    assert "it is not an array in the .npy format" in _refusal_message(path)


def test_damaged_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(50), y=np.full(50, 1.5))
    content = path.read_bytes()
    path.write_bytes(content.replace(np.float64(1.5).tobytes(), np.float64(1.25).tobytes(), 1))
    with pytest.raises(InvalidDataset) as error:
        npz.inspect(path, LIMIT)
    assert [(fault.pointer, fault.message) for fault in error.value.errors] == [
        ("y.npy", "it cannot be read: Bad CRC-32 for file 'y.npy'")
    ]
