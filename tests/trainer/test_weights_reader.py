"""Files of weights from users: what Keras writes is read, and what it never writes is refused or read by nobody."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fitqueue.errors import InvalidDataset
from service import weights_upload
from workers.keras_tools.hdf5 import Refused, variables

LIMIT = 10_000_000
KERNEL = np.arange(12, dtype="float32").reshape(4, 3)
BIAS = np.arange(3, dtype="float32")


def current(path: Path, kernel: Any = KERNEL) -> Path:
    """Write a file as Keras 3 does, for a Dense that is called `head`."""
    with h5py.File(path, "w") as file:
        variables = file.create_group("layers/dense/vars")
        variables.attrs["name"] = "head"
        variables["0"], variables["1"] = kernel, BIAS
        file["optimizer/vars/0"] = 7
    return path


def legacy(path: Path, root: str = "/", layer: str = "head") -> Path:
    """Write a file as Keras 2 did: `save_weights` at the root, `save` in a group beside the model's configuration."""
    with h5py.File(path, "w") as file:
        group = file.require_group(root)
        group.attrs["layer_names"] = [b"input_1", layer.encode()]
        group.create_group("input_1").attrs["weight_names"] = []
        head = group.create_group(layer)
        kernel, bias = f"{layer}/kernel:0", f"{layer}/bias:0"
        head.attrs["weight_names"] = [kernel.encode(), bias.encode()]
        head[kernel], head[bias] = KERNEL, BIAS
    return path


def keras_archive(path: Path) -> Path:
    """Write a `.keras`, which says which classes to load. Nobody reads that."""
    weights = current(path.with_suffix(".h5"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"module": "os", "class_name": "system", "config": "true"}))
        archive.write(weights, "model.weights.h5")
    return path


def read(path: Path) -> dict[str, Any]:
    assert weights_upload.holds_weights(path)
    infos = weights_upload.convert(path, path.with_suffix(".npz"), LIMIT)
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    assert {name: (info.shape, info.dtype) for name, info in infos.arrays.items()} == {
        name: (array.shape, str(array.dtype)) for name, array in arrays.items()
    }
    return arrays


@pytest.mark.parametrize("write", [current, keras_archive])
def test_a_file_of_keras_3_becomes_arrays(write: Callable[[Path], Path], tmp_path: Path) -> None:
    arrays = read(write(tmp_path / "a.keras"))
    assert list(arrays) == ["layers/dense[head]/vars/0", "layers/dense[head]/vars/1", "optimizer/vars/0"]
    assert arrays["optimizer/vars/0"].shape == ()
    np.testing.assert_array_equal(arrays["layers/dense[head]/vars/0"], KERNEL)


def test_the_optimizer_and_states_are_kept(tmp_path: Path) -> None:
    with h5py.File(current(tmp_path / "a.weights.h5"), "a") as file:
        del file["optimizer"]
        file["optimizer/vars/0"], file["optimizer/inner_optimizer/vars/0"] = 7, KERNEL
        file["optimizer/vars"].attrs["name"] = "adam_1"
        file["states/vars/0"] = np.array([1, 2], "uint32")
    arrays = read(tmp_path / "a.weights.h5")
    assert list(arrays)[2:] == ["optimizer[adam_1]/inner_optimizer/vars/0", "optimizer[adam_1]/vars/0", "states/vars/0"]
    np.testing.assert_array_equal(arrays["optimizer[adam_1]/inner_optimizer/vars/0"], KERNEL)
    assert arrays["optimizer[adam_1]/vars/0"] == 7
    assert arrays["states/vars/0"].dtype == np.uint32


@pytest.mark.parametrize("part", ["optimizer", "states"])
def test_no_part_of_a_file_leads_out_of_it(part: str, tmp_path: Path) -> None:
    with h5py.File(current(tmp_path / "a.weights.h5"), "a") as file:
        if part in file:
            del file[part]
        file[f"{part}/vars/0"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(InvalidDataset, match="a link"):
        read(tmp_path / "a.weights.h5")


@pytest.mark.parametrize("root", ["/", "model_weights"])
def test_a_legacy_file_becomes_arrays(root: str, tmp_path: Path) -> None:
    arrays = read(legacy(tmp_path / "a.h5", root))
    assert list(arrays) == ["layers/1[head]/0", "layers/1[head]/1"]
    np.testing.assert_array_equal(arrays["layers/1[head]/1"], BIAS)


@pytest.mark.parametrize("root", ["/", "model_weights"])
def test_a_slash_in_the_name_of_a_legacy_layer_is_a_group_in_a_group(root: str, tmp_path: Path) -> None:
    arrays = read(legacy(tmp_path / "a.h5", root, "conv1/block/conv"))
    assert list(arrays) == ["layers/1[conv1_block_conv]/0", "layers/1[conv1_block_conv]/1"]
    np.testing.assert_array_equal(arrays["layers/1[conv1_block_conv]/0"], KERNEL)


def test_a_slash_in_the_name_of_a_layer_of_keras_3_becomes_an_underscore(tmp_path: Path) -> None:
    with h5py.File(current(tmp_path / "a.h5"), "a") as file:
        file["layers/dense/vars"].attrs["name"] = "conv1/conv"
    names = ["layers/dense[conv1_conv]/vars/0", "layers/dense[conv1_conv]/vars/1", "optimizer/vars/0"]
    assert list(read(tmp_path / "a.h5")) == names


@pytest.mark.parametrize("layer", ["/head", "head/", "./head", "../head", "head/..", "head//x", "other/head"])
def test_the_name_of_a_legacy_layer_leads_nowhere_else(layer: str, tmp_path: Path) -> None:
    with h5py.File(legacy(tmp_path / "a.h5"), "a") as file:
        file.attrs["layer_names"] = [layer.encode()]
    with h5py.File(tmp_path / "a.h5") as file, pytest.raises(Refused, match="there is no"):
        variables(file, (tmp_path / "a.h5").stat().st_size)


def test_a_link_in_the_name_of_a_legacy_layer_is_not_followed(tmp_path: Path) -> None:
    secret = legacy(tmp_path / "secret.h5")
    with h5py.File(legacy(tmp_path / "a.h5"), "a") as file:
        file["link"] = h5py.ExternalLink(str(secret), "/")
        file.attrs["layer_names"] = [b"link/head"]
    with h5py.File(tmp_path / "a.h5") as file, pytest.raises(Refused, match="is a link"):
        variables(file, (tmp_path / "a.h5").stat().st_size)


def test_layer_names_that_keras_divided_are_put_together(tmp_path: Path) -> None:
    with h5py.File(legacy(tmp_path / "a.h5"), "a") as file:
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = [b"input_1"], [b"head"]
    assert list(read(tmp_path / "a.h5")) == ["layers/1[head]/0", "layers/1[head]/1"]


def test_the_same_weights_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        read(current(tmp_path / name))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_other_types_and_filters_of_keras_are_read(tmp_path: Path) -> None:
    with h5py.File(current(tmp_path / "a.h5"), "a") as file:
        variables = file["layers/dense/vars"]
        del variables["0"], variables["1"]
        variables.create_dataset("0", data=KERNEL.astype(">f8"), compression="gzip", shuffle=True, fletcher32=True)
        variables["1"] = np.array([0x3F80, 0xC000, 0x4049], "<u2").view("V2")  # 1, −2 and π as bfloat16
        variables["1"].attrs["dtype"] = "bfloat16"
        variables["2"] = np.int64(7)
        variables["3"] = np.zeros((0, 3), "float16")
    arrays = list(read(tmp_path / "a.h5").values())
    assert [str(array.dtype) for array in arrays] == ["float64", "float32", "int64", "float16", "int64"]
    np.testing.assert_array_equal(arrays[0], KERNEL)
    np.testing.assert_array_equal(arrays[1], [1.0, -2.0, 3.140625])
    assert arrays[2] == 7


def test_large_arrays_are_written_in_parts(tmp_path: Path) -> None:
    kernel = np.random.default_rng(1).random((700, 4_000))  # 22 MB
    weights_upload.convert(current(tmp_path / "a.h5", kernel), tmp_path / "a.npz", 30_000_000)
    with np.load(tmp_path / "a.npz") as archive:
        np.testing.assert_array_equal(archive["layers/dense[head]/vars/0"], kernel)


def _external_link(file: Any, secret: Path) -> None:
    file["layers/dense/vars/2"] = h5py.ExternalLink(str(secret), "/layers/dense/vars/0")


def _external_layer(file: Any, secret: Path) -> None:
    file["layers/dense_1"] = h5py.ExternalLink(str(secret), "/layers/dense")


def _soft_link(file: Any, secret: Path) -> None:
    file["layers/dense/vars/2"] = h5py.SoftLink("/layers/dense/vars/0")


def _external_data(file: Any, secret: Path) -> None:
    file["layers/dense/vars"].create_dataset("2", (4,), "u1", external=[(str(secret), 0, 4)])


def _virtual(file: Any, secret: Path) -> None:
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource(str(secret), "/layers/dense/vars/0", (4, 3))
    file["layers/dense/vars"].create_virtual_dataset("2", layout)


def _huge(file: Any, secret: Path) -> None:
    file["layers/dense/vars"].create_dataset("2", (10**7, 10**6), "f4", chunks=(1000, 1000), compression="gzip")


def _larger_than_the_file(file: Any, secret: Path) -> None:
    file["layers/dense/vars"].create_dataset("2", (3 * 10**7,), "f4", chunks=(1000,), compression="gzip")


def _large_chunk(file: Any, secret: Path) -> None:
    file["layers/dense/vars"].create_dataset("2", (10,), "f4", chunks=(10**8,), maxshape=(None,))


def _references(file: Any, secret: Path) -> None:
    file["layers/dense/vars"].create_dataset("2", data=[file["layers"].ref], dtype=h5py.ref_dtype)


def _text(file: Any, secret: Path) -> None:
    file["layers/dense/vars/2"] = ["cos\nsystem\n(S'true'\ntR."]


def _compound(file: Any, secret: Path) -> None:
    file["layers/dense/vars/2"] = np.zeros(3, [("a", "f4"), ("b", "u2")])


def _bytes_as_bfloat16(file: Any, secret: Path) -> None:
    file["layers/dense/vars/2"] = np.zeros(3, "V7")
    file["layers/dense/vars/2"].attrs["dtype"] = "bfloat16"


def _unknown_filter(file: Any, secret: Path) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((4,))
    properties.set_filter(32_000, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple((4,))
    h5py.h5d.create(file["layers/dense/vars"].id, b"2", h5py.h5t.NATIVE_FLOAT, space, properties)


def _pickled_name(file: Any, secret: Path) -> None:
    file["layers/dense/vars"].attrs["name"] = np.void(b"cos\nsystem\n(S'true'\ntR.")


def _path_as_name(file: Any, secret: Path) -> None:
    file["layers/dense/vars"].attrs["name"] = "../../escape"


def _cycle(file: Any, secret: Path) -> None:
    file["layers/dense/again"] = file["layers/dense"]


def _no_layers(file: Any, secret: Path) -> None:
    del file["layers"]


HOSTILE = {
    _external_link: "is a link",
    _external_layer: "is a link",
    _soft_link: "is a link",
    _external_data: "not in the file",
    _virtual: "not in the file",
    _huge: "bytes, but the file has only",
    _larger_than_the_file: "bytes, but the file has only",
    _large_chunk: "chunks .* are too large",
    _references: "plain numbers",
    _text: "plain numbers",
    _compound: "plain numbers",
    _bytes_as_bfloat16: "plain numbers",
    _unknown_filter: "compressed in a way",
    _pickled_name: "is not a text",
    _path_as_name: "not one of Keras's",
    _cycle: "nested too deeply",
    _no_layers: "no weights of layers",
}


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__.strip("_"))
def test_what_keras_never_writes_is_refused(change: Callable[[Any, Path], None], tmp_path: Path) -> None:
    secret = current(tmp_path / "secret.h5")
    with h5py.File(current(tmp_path / "a.h5"), "a") as file:
        change(file, secret)
    with h5py.File(tmp_path / "a.h5") as file, pytest.raises(Refused, match=HOSTILE[change]):
        variables(file, (tmp_path / "a.h5").stat().st_size)


def test_weights_larger_than_the_limit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="at most 50 are accepted"):
        weights_upload.convert(current(tmp_path / "a.h5"), tmp_path / "a.npz", 50)


@pytest.mark.parametrize("keep", [100, 900, 2000])
def test_a_damaged_file_is_refused(keep: int, tmp_path: Path) -> None:
    content = current(tmp_path / "whole.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content[:keep] + b"\xff" * 300)
    with pytest.raises(InvalidDataset, match="cannot be read"):
        weights_upload.convert(tmp_path / "a.h5", tmp_path / "a.npz", LIMIT)


def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(LIMIT + 1))
    assert weights_upload.holds_weights(tmp_path / "a.keras")
    with pytest.raises(InvalidDataset, match="too large"):
        weights_upload.convert(tmp_path / "a.keras", tmp_path / "a.npz", LIMIT)


def test_arrays_are_not_taken_for_weights(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=KERNEL)
    (tmp_path / "b.npz").write_bytes(b"")
    assert not weights_upload.holds_weights(tmp_path / "a.npz")
    assert not weights_upload.holds_weights(tmp_path / "b.npz")


def test_a_process_over_its_limits_is_a_file_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dies.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGXCPU)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(weights_upload, "PROGRAM", "dies")
    with pytest.raises(InvalidDataset, match="exceeded its limits"):
        weights_upload.convert(current(tmp_path / "a.h5"), tmp_path / "a.npz", LIMIT)


def test_the_process_can_open_no_other_file_and_has_little_memory(tmp_path: Path) -> None:
    program = (
        "import resource, numpy as np\n"
        "from workers.weights_reader.__main__ import _set_limits\n"
        "_set_limits(1000, 1000)\n"
        "for attempt in (lambda: open('/etc/hostname'), lambda: np.zeros(3 * 2**30, 'u1')):\n"
        "    try: attempt(); print('done')\n"
        "    except OSError: print('OSError')\n"
        "    except MemoryError: print('MemoryError')\n"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["OSError", "MemoryError"]


def test_the_process_loads_no_tensorflow() -> None:
    program = (
        "import sys, workers.weights_reader.__main__; print({'keras', 'tensorflow', 'service'} & set(sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "set()\n"
    )
