"""What the layers of a model compute for one batch, found by following the shapes of the batch through its graph."""

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import keras

from workers.model_check.sizes import value_bytes
from workers.model_check.traced import Traced, tensor_bytes, trace

# These compute their outputs and little else, so no trace is needed: it would take longer than the whole check. Of all
# others, a call is traced.
_PLAIN: Final = frozenset(
    {
        *("InputLayer", "Dense", "Conv1D", "Conv2D", "Conv3D", "Embedding", "BatchNormalization", "Flatten", "Reshape"),
        *("Activation", "ReLU", "LeakyReLU", "PReLU", "Softmax", "Dropout", "Add", "Multiply", "Average"),
        *("Concatenate", "DepthwiseConv2D", "SeparableConv2D"),
        *("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D"),
        *("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalMaxPooling1D"),
        *("GlobalMaxPooling2D", "GlobalMaxPooling3D", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Permute"),
        *("Cropping1D", "Cropping2D", "Cropping3D"),
    }
)
_UNTRACED_FACTOR: Final = 8
"""How many times its outputs a layer is taken to need if it cannot be traced."""
_BACKWARD_TENSORS: Final = 3
"""The gradients that exist at a time: of the outputs of a layer, of its inputs, and one on the way."""


@dataclass
class Activations:
    """What the layers of a model need, in bytes."""

    kept: int = 0
    largest: int = 0
    peak: int = 0
    """What the layer that needs most computes with, of those that no gradient passes."""

    unrolled_steps: int = 0
    """The time steps of the layers that are unrolled: each has operations of its own."""

    @property
    def total(self) -> int:
        """What is needed at the worst moment of a step."""
        return self.kept + max(_BACKWARD_TENSORS * self.largest, self.peak)


def find_activations(model: keras.Model, inputs: Sequence[keras.KerasTensor]) -> Activations:
    """Return what the layers compute for a batch.

    Args:
        inputs: the batch, with all its lengths as far as they are known.
    """
    walk = _Walk(_seconds_for_traces())
    walk.model(model, inputs, has_gradient=False)
    return walk.found


class _OutOfTime(BaseException):
    """A trace took too long. Not an Exception, because Keras would wrap that in another one."""


@dataclass
class _Walk:
    """The way through a graph."""

    seconds: float
    found: Activations = field(default_factory=Activations)
    _traces: dict[str, tuple[Traced, Any]] = field(default_factory=dict)

    def model(self, model: Any, inputs: Sequence[keras.KerasTensor], *, has_gradient: bool) -> list[Any]:
        graph = model._functional if isinstance(model, keras.Sequential) else model
        if graph is None or not hasattr(graph, "_nodes_by_depth"):
            return []
        known = {id(symbol): (tensor, has_gradient) for symbol, tensor in zip(graph._inputs, inputs, strict=False)}
        for _, nodes in sorted(graph._nodes_by_depth.items(), reverse=True):
            for node in nodes:
                if not node.is_input:
                    self._node(node, known)
        return [known[id(symbol)][0] if id(symbol) in known else symbol for symbol in graph._outputs]

    def _node(self, node: Any, known: dict[int, tuple[Any, bool]]) -> None:
        layer = node.operation
        has_gradient = bool(getattr(layer, "trainable_weights", ())) or any(
            known[id(tensor)][1] for tensor in node.input_tensors if id(tensor) in known
        )
        args, kwargs = keras.tree.map_structure(
            lambda value: known[id(value)][0] if id(value) in known else value,
            (node.arguments.args, node.arguments.kwargs),
        )
        if isinstance(layer, keras.Model):
            tensors = [value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, keras.KerasTensor)]
            outputs: Any = self.model(layer, tensors, has_gradient=has_gradient)
        else:
            outputs = self._layer(layer, node, args, kwargs, has_gradient)
        for symbol, tensor in zip(node.outputs, keras.tree.flatten(outputs), strict=False):
            known[id(symbol)] = (tensor, has_gradient)

    def _layer(self, layer: Any, node: Any, args: Any, kwargs: Any, has_gradient: bool) -> Any:
        shapes = [value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, keras.KerasTensor)]
        outputs = _concrete_outputs(layer, node, args, kwargs, shapes)
        size = sum(value_bytes(tensor) for tensor in outputs)
        needed = Traced(kept=size, peak=size, largest=size)
        if type(layer).__name__ not in _PLAIN:
            needed, outputs = self._trace(layer, args, kwargs, shapes, size, outputs)
        self.found.unrolled_steps += _unrolled_steps(layer, shapes)
        self.found.kept += max(size, needed.kept) if has_gradient else size
        if has_gradient:
            self.found.largest = max(self.found.largest, needed.largest)
        else:
            self.found.peak = max(self.found.peak, needed.peak)
        return outputs

    def _trace(self, layer: Any, args: Any, kwargs: Any, shapes: Any, size: int, outputs: Any) -> tuple[Traced, Any]:
        key = json.dumps([type(layer).__name__, _config(layer), [[t.shape, t.dtype] for t in shapes]], default=repr)
        if key not in self._traces:
            unknown = Traced(_UNTRACED_FACTOR * size, _UNTRACED_FACTOR * size, size)
            self._traces[key] = (unknown, outputs)
            # Whatever Keras raises: an estimate must not refuse a job.
            with suppress(_OutOfTime, Exception), _not_unrolled(layer), self._limited():
                self._traces[key] = trace(layer, args, _training(layer, kwargs))
        return self._traces[key]

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Take the seconds of the block from those that are left.

        Raises:
            _OutOfTime: none are.
        """
        if self.seconds <= 0:
            raise _OutOfTime
        before = signal.signal(signal.SIGVTALRM, _raise_out_of_time)
        signal.setitimer(signal.ITIMER_VIRTUAL, self.seconds)
        try:
            yield
        finally:
            self.seconds = signal.setitimer(signal.ITIMER_VIRTUAL, 0)[0]
            signal.signal(signal.SIGVTALRM, before)


def _raise_out_of_time(*_: object) -> None:
    raise _OutOfTime


def _seconds_for_traces() -> float:
    """Return half of the processor time that is left for this process, which has a timer as its limit."""
    left, _ = signal.getitimer(signal.ITIMER_PROF)
    return left / 2 if left else 60.0


def _unrolled_steps(layer: Any, inputs: Sequence[keras.KerasTensor]) -> int:
    steps = inputs[0].shape[1] or 1 if inputs and len(inputs[0].shape) > 1 else 1
    return len(_unrolled_layers(layer)) * steps


def _unrolled_layers(layer: Any) -> list[Any]:
    """Return the recurrent layers inside of a layer, or itself, that are unrolled."""
    inner = layer._flatten_layers() if hasattr(layer, "_flatten_layers") else ()
    return [each for each in inner if getattr(each, "unroll", False)]


@contextmanager
def _not_unrolled(layer: Any) -> Iterator[None]:
    """Trace a recurrent layer as a loop: unrolled, it computes the same, and its trace takes seconds."""
    unrolled = _unrolled_layers(layer)
    for each in unrolled:
        each.unroll = False
    try:
        yield
    finally:
        for each in unrolled:
            each.unroll = True


def _config(layer: Any) -> Any:
    try:
        return {name: value for name, value in layer.get_config().items() if name != "name"}
    except Exception:
        return repr(layer)


def _training(layer: Any, kwargs: Any) -> Any:
    return {**kwargs, "training": True} if getattr(layer, "_call_has_training_arg", False) else kwargs


def _concrete_outputs(layer: Any, node: Any, args: Any, kwargs: Any, inputs: Sequence[Any]) -> list[Any]:
    """Return the outputs with the lengths of this batch."""
    batch = inputs[0].shape[0] if inputs and inputs[0].shape else 1
    outputs = list(node.outputs)
    if any(None in tensor.shape[1:] for tensor in outputs):
        # What it cannot compute counts as 1.
        with suppress(Exception), keras.StatelessScope(initialize_variables=False):
            return list(keras.tree.flatten(layer.compute_output_spec(*args, **kwargs)))
    return [
        keras.KerasTensor(
            tuple(
                (batch if axis == 0 else 1) if length is None else length for axis, length in enumerate(tensor.shape)
            ),
            tensor.dtype,
        )
        for tensor in outputs
    ]


def find_constants(model: keras.Model) -> int:
    """Return the bytes of all arrays and tensors that layers hold beside their weights."""
    held = {}
    for layer in model._flatten_layers():
        for value in keras.tree.flatten([_plain_values(value) for value in vars(layer).values()]):
            size = getattr(value, "nbytes", None)
            if isinstance(size, int):
                held[id(value)] = size
            elif type(value).__name__ == "EagerTensor":
                held[id(value)] = tensor_bytes(value.shape, value.dtype)
    return sum(held.values())


def _plain_values(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else [value]
