"""Weights of a model as named arrays: what users upload as HDF5 is kept as an `.npz` with these names.

A name such as `layers/dense_1[head]/vars/0` says where a variable belongs: the key of its layer, the layer's name, if
the file had it, and the path of the variable in the layer. The key is Keras's own (`dense_1`: the second Dense) or, in
a legacy file, the position of the layer in the file; there, a variable has a number in place of a path.

A file of a compiled model has the variables of its optimizer, too: `optimizer[adam]/vars/0`. What Keras leaves out of
its files may be in `states/vars/0`: the states of random generators and of recurrent layers, in the order of
`fitqueue.model_states`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_VARIABLES: Final = 10_000
"""The most variables of layers in a file."""
MAX_ARRAYS: Final = 5 * MAX_VARIABLES
"""The most variables in all: an optimizer may have several for each of a layer."""
MAX_NAME: Final = 255

LAYERS: Final = "layers"
OPTIMIZER: Final = "optimizer"
STATES: Final = "states"

LAST_WITH_OPTIMIZER: Final = "last_with_optimizer"
"""The checkpoint from which training goes on as if it had not ended."""

_NAME: Final = re.compile(
    r"(layers/(?P<key>[A-Za-z0-9_]+)|(?P<part>optimizer|states))(\[(?P<owner>[^\[\]/]+)\])?/(?P<path>[A-Za-z0-9_/]+)"
)


@dataclass(frozen=True)
class VariableName:
    """Where a variable belongs.

    Attributes:
        key: the key of its layer in the file; empty if it is not of a layer.
        layer: the name of its layer, or of the optimizer; None if the file does not have it.
        path: its path in the layer, in the optimizer, or among the states.
        part: `layers`, `optimizer` or `states`.
    """

    key: str
    layer: str | None
    path: str
    part: str = LAYERS

    def __str__(self) -> str:
        owner = f"[{self.layer}]" if self.layer is not None else ""
        head = f"{LAYERS}/{self.key}" if self.part == LAYERS else self.part
        return f"{head}{owner}/{self.path}"

    @property
    def is_legacy(self) -> bool:
        """Whether it comes from a legacy file, in which layers and variables are numbered."""
        return self.key.isdecimal()


def parse_name(name: str) -> VariableName | None:
    """Return what the name of an array says; None if it is not the name of a variable."""
    match = _NAME.fullmatch(name)
    if match is None or len(name) > MAX_NAME or not name.isprintable():
        return None
    return VariableName(match["key"] or "", match["owner"], match["path"], match["part"] or LAYERS)


def are_weights(names: Iterable[str]) -> bool:
    """Return whether arrays with these names are the weights of a model."""
    return all(parse_name(name) is not None for name in names)
