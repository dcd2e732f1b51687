"""Read weights from HDF5 files of users: numbers only, and nothing outside the file.

HDF5 is a large format. What Keras never writes is not read: links other than hard ones, data in other files, virtual
data sets, filters from plugins, types other than numbers. Layers have the names that they have in a job's model,
without slashes. All shapes are read, and their sizes are added up, before the first number is.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import h5py
import numpy as np

from fitqueue.spec.keras_objects.legacy.slashes import without_slashes
from fitqueue.weights import LAYERS, MAX_ARRAYS, MAX_NAME, MAX_VARIABLES, OPTIMIZER, STATES, VariableName, parse_name

MAX_DEPTH: Final = 32
MAX_OBJECTS: Final = 100_000
MAX_ATTRIBUTE_BYTES: Final = 8 * 1024**2
MAX_CHUNK_BYTES: Final = 256 * 1024**2
"""A chunk is decompressed as a whole."""
MAX_EXPANSION: Final = 20
FREE_BYTES: Final = 16 * 1024**2
"""Weights that all are equal compress well: this much may be declared by a file of any size."""

_SLAB_BYTES: Final = 16 * 1024**2
_FILTERS: Final = frozenset({h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32})
_NUMBERS: Final = frozenset({"f2", "f4", "f8", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)), "b1"})
_BFLOAT16: Final = "bfloat16"
# Keras 2.13 to 2.15 wrote the layers of a model under this name.
_OLD_LAYERS: Final = "_layer_checkpoint_dependencies"


class Refused(Exception):
    """The file is not accepted; the message says why."""


@dataclass(frozen=True)
class Variable:
    """A variable in a file, of which only the shape has been read."""

    name: VariableName
    dataset: Any
    is_bfloat16: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype in which its numbers are kept: little-endian, and float32 for a bfloat16, which NumPy lacks."""
        return np.dtype("<f4") if self.is_bfloat16 else np.dtype(self.dataset.dtype).newbyteorder("<")

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return int(math.prod(self.dataset.shape)) * self.dtype.itemsize

    def slabs(self) -> Iterator[np.ndarray[Any, Any]]:
        """Yield its numbers in parts, in their order."""
        shape = self.dataset.shape
        if not shape:
            yield self._converted(np.asarray(self.dataset[()]))
            return
        rows = max(1, _SLAB_BYTES * shape[0] // max(1, self.size))
        for start in range(0, shape[0], rows):
            yield self._converted(self.dataset[start : start + rows])

    def values(self) -> np.ndarray[Any, Any]:
        """Return all its numbers."""
        values = np.empty(self.dataset.shape, self.dtype)
        flat, start = values.reshape(-1), 0
        for slab in self.slabs():
            flat[start : start + slab.size] = slab.reshape(-1)
            start += slab.size
        return values

    def _converted(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if self.is_bfloat16:
            values = (values.view("<u2").astype("<u4") << 16).view("<f4")
        return np.ascontiguousarray(values, dtype=self.dtype)


def variables(file: Any, file_bytes: int) -> list[Variable]:
    """Return the variables of all layers in an open file.

    Args:
        file_bytes: the size of the file, which bounds that of its variables.

    Raises:
        Refused: the file is not one of Keras's, or it holds something that Keras does not write.
    """
    reader = _Reader(file)
    found = reader.legacy() if reader.is_legacy else reader.current()
    if not found:
        raise Refused("it holds no weights of layers, as Keras writes them")
    total = sum(variable.size for variable in found)
    if total > MAX_EXPANSION * file_bytes + FREE_BYTES:
        raise Refused(f"its weights take {total} bytes, but the file has only {file_bytes}")
    return found


class _Reader:
    """Walks through one file."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._objects = 0

    @property
    def is_legacy(self) -> bool:
        """Whether it is a file of Keras 2, or what Keras 3 saves under a name that ends in `.h5`."""
        return "model_weights" in self._file or any(name.startswith("layer_names") for name in self._file.attrs)

    def current(self) -> list[Variable]:
        """Return the variables of a `.weights.h5`."""
        found: list[Variable] = []
        layers = next((name for name in ("layers", _OLD_LAYERS) if name in self._file), None)
        if layers is None:
            return found
        group = self._group(self._file, layers)
        for key in group:
            layer = self._group(group, key)
            name = self._layer_name(layer)
            for path, dataset in self._datasets(layer, "", 0):
                self._add(found, VariableName(key, name, path), dataset)
        if found:
            self._add_others(found)
        return found

    def _add_others(self, found: list[Variable]) -> None:
        """Add the variables of the optimizer, and the states that a job or a client has written."""
        for part in (OPTIMIZER, STATES):
            if part in self._file:
                group = self._group(self._file, part)
                name = self._layer_name(group)
                for path, dataset in self._datasets(group, "", 0):
                    self._add(found, VariableName("", name, path, part), dataset)

    def legacy(self) -> list[Variable]:
        """Return the variables of a file of Keras 2, in the order of its layers."""
        root = self._group(self._file, "model_weights") if "model_weights" in self._file else self._file
        found: list[Variable] = []
        for position, layer in enumerate(self._texts(root, "layer_names")):
            group = self._nested_group(root, layer.split("/"))
            name = without_slashes(layer)
            for index, weight in enumerate(self._texts(group, "weight_names")):
                *folders, last = weight.split("/")
                dataset = self._dataset(self._nested_group(group, folders), last)
                self._add(found, VariableName(str(position), name, str(index)), dataset)
        return found

    def _nested_group(self, parent: Any, folders: list[str]) -> Any:
        for folder in folders:
            parent = self._group(parent, folder)
        return parent

    def _layer_name(self, layer: Any) -> str | None:
        if "vars" not in layer:
            return None
        group = self._group(layer, "vars")
        name = self._text(group.attrs, "name") if "name" in group.attrs else None
        return without_slashes(name) if name is not None else None

    def _add(self, found: list[Variable], name: VariableName, dataset: Any) -> None:
        if len(str(name)) > MAX_NAME or parse_name(str(name)) != name:
            raise Refused(f"the name of a layer or of a weight is not one of Keras's: {str(name)[:MAX_NAME]!r}")
        found.append(_checked(name, dataset, self._is_bfloat16(dataset)))
        if len(found) > (MAX_VARIABLES if name.part == LAYERS else MAX_ARRAYS):
            raise Refused(f"it holds more than {MAX_VARIABLES} weights")

    def _datasets(self, group: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
        """Yield all data sets in a group, with their paths."""
        if depth > MAX_DEPTH:
            raise Refused("its groups are nested too deeply")
        for name in group:
            child = self._child(group, name)
            if isinstance(child, h5py.Group):
                yield from self._datasets(child, f"{path}{name}/", depth + 1)
            elif isinstance(child, h5py.Dataset):
                yield f"{path}{name}", child

    def _group(self, parent: Any, name: str) -> Any:
        child = self._child(parent, name)
        if not isinstance(child, h5py.Group):
            raise Refused(f"{name!r} is not a group")
        return child

    def _dataset(self, parent: Any, name: str) -> Any:
        child = self._child(parent, name)
        if not isinstance(child, h5py.Dataset):
            raise Refused(f"{name!r} is not an array")
        return child

    def _child(self, parent: Any, name: str) -> Any:
        """Return what a hard link leads to, in the same file; nothing else is followed."""
        self._objects += 1
        if self._objects > MAX_OBJECTS:
            raise Refused("it holds too many objects")
        if not name or "/" in name or name == "." or name not in parent:
            raise Refused(f"there is no {name[:MAX_NAME]!r}")
        if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
            raise Refused(f"{name!r} is a link, which is not followed")
        return parent[name]

    def _is_bfloat16(self, dataset: Any) -> bool:
        return "dtype" in dataset.attrs and self._text(dataset.attrs, "dtype") == _BFLOAT16

    def _texts(self, group: Any, name: str) -> list[str]:
        """Return a list of texts, which Keras divides among several numbered attributes if it is long."""
        if name in group.attrs:
            return _attribute(group.attrs, name)
        texts: list[str] = []
        for part in range(MAX_OBJECTS):
            if f"{name}{part}" not in group.attrs:
                break
            texts += _attribute(group.attrs, f"{name}{part}")
        return texts

    def _text(self, attributes: Any, name: str) -> str | None:
        texts = _attribute(attributes, name)
        return texts[0] if len(texts) == 1 else None


def _attribute(attributes: Any, name: str) -> list[str]:
    """Return the texts of an attribute."""
    attribute = attributes.get_id(name)
    if math.prod(attribute.shape) == 0:
        return []  # an empty list of Keras's has the type of a number
    if h5py.check_string_dtype(attribute.dtype) is None or attribute.get_storage_size() > MAX_ATTRIBUTE_BYTES:
        raise Refused(f"the attribute {name!r} is not a text")
    values = np.atleast_1d(np.asarray(attributes[name], dtype=object)).ravel()
    return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]


def _checked(name: VariableName, dataset: Any, is_bfloat16: bool) -> Variable:
    """Return a variable whose numbers can be read.

    Raises:
        Refused: they cannot, or they are not in the file.
    """
    if dataset.shape is None or dataset.is_virtual or dataset.external:
        raise Refused(f"the numbers of {str(name)!r} are not in the file")
    dtype = dataset.dtype
    is_number = f"{dtype.kind}{dtype.itemsize}" in _NUMBERS
    if not is_number and not (is_bfloat16 and dtype.itemsize == 2 and dtype.fields is None):
        raise Refused(f"{str(name)!r} does not consist of plain numbers: its type is {dtype}")
    properties = dataset.id.get_create_plist()
    filters = {properties.get_filter(index)[0] for index in range(properties.get_nfilters())}
    if not filters <= _FILTERS:
        raise Refused(f"{str(name)!r} is compressed in a way that Keras does not use")
    if dataset.chunks is not None and math.prod(dataset.chunks) * dtype.itemsize > MAX_CHUNK_BYTES:
        raise Refused(f"the chunks of {str(name)!r} are too large")
    return Variable(name, dataset, is_bfloat16 and not is_number)
