"""The data of a call of `fit` as the arrays of a job, and their names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fitqueue.fit import batches
from fitqueue.fit.arrays import Array, by_names, is_several
from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer

_PARTS: Final = ("x", "y", "sample_weight")
_NO_TUPLE: Final = "validation_data is a tuple (x, y) or (x, y, sample_weight)."


@dataclass(frozen=True)
class FitData:
    """What a model is trained or validated on, in whatever form; `taken` if it came in batches."""

    x: Any = None
    y: Any = None
    sample_weight: Any = None
    taken: batches.Batches | None = None


@dataclass
class DataReader:
    """Takes what the user passed, and reports what cannot be sent.

    Attributes:
        reported: the pointers of what cannot be sent.
        arrays: by their names in the data set.
    """

    pointer: Pointer
    floatx: str
    on_bytes: batches.OnBytes
    reported: list[str] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)

    def training(self, data: FitData, most: int | None) -> FitData:
        """Return the data to train on, taken from its batches if it comes in batches."""
        if not batches.come_in_batches(data.x):
            return data
        for name, value in (("y", data.y), ("sample_weight", data.sample_weight)):
            if value is not None:
                message = f"x yields its own {name}, as for model.fit: leave the argument {name} out."
                (self.pointer / name).add_fault(FaultCode.CONFLICT, message, type(value).__name__, "None")
        return self._collect(data.x, "x", most, self.pointer / "x")

    def validation(self, given: Any, most: int | None) -> FitData:
        """Return the data to validate on."""
        pointer = self.pointer / "validation"
        if batches.come_in_batches(given):
            return self._collect(given, "validation_data", most, pointer)
        if isinstance(given, tuple | list) and len(given) in (2, 3):
            return FitData(*given)
        pointer.add_fault(FaultCode.WRONG_TYPE, _NO_TUPLE, type(given).__name__, "a tuple, or batches")
        self.reported.append(pointer.text)
        return FitData()

    def _collect(self, value: Any, argument: str, most: int | None, pointer: Pointer) -> FitData:
        kind = type(value).__name__
        try:
            found = batches.collect(value, self.on_bytes, most)
        except batches.NoEnd as error:
            pointer.add_fault(FaultCode.TOO_LARGE, f"{argument} cannot be sent: {error}", kind, "batches that end")
        except ValueError as error:
            pointer.add_fault(FaultCode.WRONG_TYPE, f"{argument} cannot be sent: {error}", kind, "batches of arrays")
        else:
            self._notice(found, pointer)
            return FitData(found.x, found.y, found.sample_weight, found)
        # What the batches hold besides is unknown.
        self.reported += [pointer.text, *((self.pointer / name).text for name in _PARTS if argument == "x")]
        return FitData()

    def _notice(self, found: batches.Batches, pointer: Pointer) -> None:
        count, size = len(found.sizes), found.sizes[0]
        message = f"Its {count} batches were taken once: what it draws at random is the same in each epoch."
        pointer.add_notice(NoticeCode.TRANSLATED, message)
        if not found.are_even:
            message = f"Its batches differ in size, and the job cuts the same samples into batches of {size}."
            pointer.add_notice(NoticeCode.SUSPICIOUS, message)

    def named(
        self, data: FitData, names: tuple[Sequence[str], Sequence[str]], *, is_validation: bool
    ) -> dict[str, Any]:
        """Keep the arrays of x, y and sample_weight; return their names as the fields of a job.

        Args:
            names: of the model's inputs, and of its outputs.
        """
        inputs, outputs = names
        prefix = "val_" if is_validation else ""
        root = self.pointer / "validation" if is_validation else self.pointer
        fields: dict[str, Any] = {}
        for part, value, keys in zip(
            _PARTS, (data.x, data.y, data.sample_weight), (inputs, outputs, outputs), strict=True
        ):
            if value is None or (part == "y" and self._share_a_name(keys, root / part)):
                continue
            argument = f"validation_data's {part}" if is_validation else part
            if part == "sample_weight" and not is_several(value, keys):
                keys = keys[:1]  # one array for all outputs
            fields[part] = self._named_part(value, keys, argument, prefix + part, root / part)
        return fields

    def _share_a_name(self, outputs: Sequence[str], pointer: Pointer) -> bool:
        shared = next((name for index, name in enumerate(outputs) if name in outputs[:index]), None)
        if shared is None:
            return False
        message = (
            f"Several outputs have the name {shared!r}. Put a layer of its own behind each of them, such as "
            "keras.layers.Identity(name=…)."
        )
        pointer.add_fault(FaultCode.DUPLICATE_NAME, message, list(outputs), "outputs of different names")
        self.reported.append(pointer.text)
        return True

    def _named_part(self, value: Any, keys: Sequence[str], argument: str, label: str, pointer: Pointer) -> Any:
        before = len(pointer.findings.faults)
        found = by_names(value, keys, argument, self.floatx, pointer, is_partial="sample_weight" in label)
        if len(pointer.findings.faults) > before:
            self.reported.append(pointer.text)
        labels = {name: f"{label}.{name}" if len(keys) > 1 else label for name in found}
        self.arrays |= {labels[name]: array for name, array in found.items()}
        return labels if len(keys) > 1 else label


def first_array(x: Any) -> Any:
    """Return x itself, or the only array in a list or a dict around it."""
    if isinstance(x, Mapping):
        return next(iter(x.values()), None)
    return x[0] if isinstance(x, list | tuple) and len(x) == 1 and hasattr(x[0], "shape") else x
