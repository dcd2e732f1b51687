"""The operations that compute masks, which Keras 3 writes among the layers of a functional model.

Embedding and Masking derive a mask from their input, and merging layers combine masks. `to_json` writes each step as an
operation of `keras.ops`, and passes the result to later layers by the keyword `mask`. No other operation is accepted.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from fitqueue.spec.keras_objects.catalogue import Entry, Schema

MODULE: Final = "keras.ops"
"""The module of an operation in canonical form. It is what distinguishes an operation from the layer of its name."""

_MODULES: Final = re.compile(r"keras(\.src)?\.ops(\.\w+)?")
_NAME: Final[Schema] = {"type": "string", "pattern": "[A-Za-z][A-Za-z0-9_]{0,63}"}
_AXIS: Final[Schema] = {"type": "integer", "minimum": -16, "maximum": 16}
_BOOL: Final[Schema] = {"type": "boolean"}
_DTYPE: Final[Schema] = {"enum": ["bool", None]}
_FALSE: Final[Schema] = {"enum": [False, None]}
_REDUCTION: Final = {"axis": _AXIS, "keepdims": _BOOL}
_ARGUMENTS: Final[dict[str, dict[str, Schema]]] = {
    "NotEqual": {},
    "LogicalAnd": {},
    "LogicalOr": {},
    "Any": _REDUCTION,
    "All": _REDUCTION,
    "ExpandDims": {"axis": _AXIS},
    "Concatenate": {"axis": _AXIS},
    "OnesLike": {"dtype": _DTYPE},
    "ZerosLike": {"dtype": _DTYPE},
    "ConvertToTensor": {"dtype": _DTYPE, "sparse": _FALSE, "ragged": _FALSE},
}
OPERATIONS: Final = {
    name: Entry(name, "", {"name": _NAME, **arguments}, required=("axis",) if name == "ExpandDims" else ())
    for name, arguments in _ARGUMENTS.items()
}


def find_operation(layer: Any) -> Entry | None:
    """Return the operation that an item of a model's `layers` is; None if it is a layer, or no operation on masks."""
    if not isinstance(layer, dict) or not isinstance(layer.get("config"), dict):
        return None
    module, class_name = layer.get("module"), layer.get("class_name")
    if not (isinstance(module, str) and isinstance(class_name, str) and _MODULES.fullmatch(module)):
        return None
    return OPERATIONS.get(class_name) if layer.get("registered_name") in (None, class_name) else None


def is_operation(layer: Mapping[str, Any]) -> bool:
    """Return whether an item of a model's `layers` in canonical form is an operation."""
    return layer.get("module") == MODULE
