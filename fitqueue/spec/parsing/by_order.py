"""Lists in the order of a model's inputs or outputs, which Keras accepts in place of objects by name.

A job is stored with the objects. `Named.pointer` leads from a name in them to the item of the list that was sent, so
that faults found later point into the job as its user knows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from fitqueue.spec.checks.named_outputs import io_names
from fitqueue.spec.fields.training import KerasObject
from fitqueue.spec.findings import FaultCode, Pointer, listed
from fitqueue.spec.keras_objects.objects import FAULTY, check_object

_NO_LIST: Final = "The inputs of this model are an object, for which Keras accepts no list: give the arrays by name."
_FAULTY_LIST: Final[list[Any]] = [FAULTY]


class Named(NamedTuple):
    """A job with objects by name in place of its lists, and the pointer to it."""

    job: dict[str, Any]
    pointer: Pointer


@dataclass(frozen=True)
class _Order:
    """The names of a model's inputs or outputs in Keras's order.

    Attributes:
        what: "input" or "output".
        names: None: the model is faulty, so they are unknown. Empty: there is one, without a name.
        why_not: why Keras accepts no list; empty if it does.
    """

    what: str
    names: Sequence[str] | None
    why_not: str = ""


def with_names(job: dict[str, Any], pointer: Pointer) -> Named:
    """Replace each list in the order of the model's inputs or outputs, and report those that do not match the model.

    Args:
        job: the job with its Keras objects in canonical form.
    """
    inputs, outputs = _orders(job.get("model"))
    naming = _Naming(pointer, {})
    named = dict(job)
    if isinstance(job.get("compile"), dict):
        named["compile"] = naming.in_compile(job["compile"], outputs, pointer / "compile")
    if isinstance(job.get("data"), dict):
        named["data"] = naming.in_data(job["data"], inputs, outputs, pointer / "data")
    return Named(named, replace(pointer, renames=naming.renames))


def _orders(model: Any) -> tuple[_Order, _Order]:
    if not isinstance(model, dict) or not model.get("class_name"):
        return _Order("input", None), _Order("output", None)
    names = io_names(KerasObject.model_validate(model))
    has_keys = isinstance(model["config"].get("input_layers"), dict)
    inputs = _Order("input", names.inputs or (), _NO_LIST if has_keys else "")
    # Keras sorts the outputs of a model that returns an object.
    outputs = sorted(names.outputs or ()) if names.keyed else names.outputs or ()
    return inputs, _Order("output", outputs)


@dataclass
class _Naming:
    """Replaces lists, and collects what their items are renamed to: see `Pointer.renames`."""

    pointer: Pointer
    renames: dict[str, str]

    def in_data(self, data: Mapping[str, Any], inputs: _Order, outputs: _Order, pointer: Pointer) -> dict[str, Any]:
        named = dict(data)
        for axis, order in (("x", inputs), ("y", outputs), ("sample_weight", outputs)):
            if isinstance(data.get(axis), list):
                named[axis] = self._arrays(data[axis], order, pointer / axis)
        if isinstance(data.get("validation"), dict):
            named["validation"] = self.in_data(data["validation"], inputs, outputs, pointer / "validation")
        return named

    def in_compile(self, compiled: Mapping[str, Any], outputs: _Order, pointer: Pointer) -> dict[str, Any]:
        named = dict(compiled)
        if isinstance(compiled.get("loss"), list):
            named["loss"] = self._replaced(compiled["loss"], outputs, pointer / "loss", FAULTY)
        weights = compiled.get("loss_weights")
        if isinstance(weights, list | dict):
            named["loss_weights"] = self._weights(weights, outputs, pointer / "loss_weights")
        for name in ("metrics", "weighted_metrics"):
            if isinstance(compiled.get(name), list):
                named[name] = self._metrics(compiled[name], outputs, pointer / name)
        return named

    # --- The fields ---------------------------------------------------------------------------------------------------

    def _arrays(self, arrays: list[Any], order: _Order, pointer: Pointer) -> Any:
        # The parser reports a list that is left as it is only if no fault has been reported there.
        by_name = self._replaced(arrays, order, pointer, arrays)
        if pointer.text.endswith("/sample_weight") and isinstance(by_name, dict):
            return {name: array for name, array in by_name.items() if array is not None}
        return by_name

    def _weights(self, weights: Any, outputs: _Order, pointer: Pointer) -> Any:
        """Return the loss weights; null counts a loss once, as 1 does."""
        by_name = self._replaced(weights, outputs, pointer, None) if isinstance(weights, list) else weights
        if isinstance(by_name, dict):
            return {name: 1.0 if weight is None else weight for name, weight in by_name.items()}
        return by_name

    def _metrics(self, metrics: list[Any], outputs: _Order, pointer: Pointer) -> Any:
        if not outputs.names or len(outputs.names) == 1:
            return [metric for i, item in enumerate(metrics) for metric in _metrics_in(item, pointer / i)]
        if not metrics:
            return metrics
        by_name = self._replaced(metrics, outputs, pointer, _FAULTY_LIST)
        if not isinstance(by_name, dict):
            return by_name
        for i, (name, item) in enumerate(by_name.items()):
            if not isinstance(item, list):
                self.renames[(pointer / i / 0).text] = (pointer / i).text
                by_name[name] = [] if item is None else [item]
        return by_name

    # --- One list -----------------------------------------------------------------------------------------------------

    def _replaced(self, items: list[Any], order: _Order, pointer: Pointer, faulty: Any) -> Any:
        """Return the only item, or the items by name; `faulty` if the list does not match the model."""
        if len(items) == 1 and len(order.names or ()) < 2:
            return items[0]
        names = [str(i) for i in range(len(items))] if order.names is None else order.names
        if problem := order.why_not or _mismatch(items, order.what, names):
            pointer.add_fault(FaultCode.WRONG_TYPE, problem, items, _expected(order.what, names))
            return faulty
        self.renames |= {(pointer / name).text: (pointer / i).text for i, name in enumerate(names)}
        return dict(zip(names, items, strict=True))


def _metrics_in(item: Any, pointer: Pointer) -> list[Any]:
    """Return the metrics in an entry of the list for a single output: one, or a list of several."""
    if item is None:
        return [check_object(item, "metrics", pointer)]
    return item if isinstance(item, list) else [item]


def _mismatch(items: Sequence[Any], what: str, names: Sequence[str]) -> str:
    count = max(1, len(names))
    if len(items) != count:
        entries = "1 entry" if len(items) == 1 else f"{len(items)} entries"
        return f"The list has {entries}, but the model has {count} {what}{'s' if count > 1 else ''}."
    if len(set(names)) < len(names):
        return f"Several {what}s of the model come from one layer and share its name, so they cannot be told apart."
    return ""


def _expected(what: str, names: Sequence[str]) -> str:
    return f"an entry for each {what}: {listed(names)}" if names else f"the only {what}'s, without a list"
