"""Check that no two artifacts, and no two logged values, have the same name."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from fitqueue.spec.fields.logged import epoch_names
from fitqueue.spec.fields.training import KerasObject
from fitqueue.spec.findings import FaultCode, Pointer, listed, quoted

_ARGUMENTS: Final = {"CSVLogger": ("filename", ""), "TensorBoard": ("log_dir", ".zip")}
"""The argument that names the artifact of a callback, and what follows it in the name."""

_VALUE: Final = re.compile(r"(.+)/\d+")
"""The name of one of the values of a metric."""


def check_artifacts(callbacks: Sequence[KerasObject | None], pointer: Pointer) -> None:
    """Report each artifact with the name of an earlier one. A path is a name without its folders by now."""
    seen = set()
    for i, callback in enumerate(callbacks):
        if callback is None or callback.class_name not in _ARGUMENTS:
            continue
        argument, ending = _ARGUMENTS[callback.class_name]
        name = f"{callback.config[argument]}{ending}"
        if name in seen:
            (pointer / i / "config" / argument).add_fault(
                FaultCode.DUPLICATE_NAME,
                f"Two callbacks would write the artifact {quoted(name)}. A slash in a path becomes a dash.",
                received=callback.config[argument],
                expected="another name",
            )
        seen.add(name)


def check_logged_values(metrics: Sequence[str | KerasObject], *, validated: bool, pointer: Pointer) -> None:
    """Report names under which two values would be logged: those of metrics, outputs, losses and single values."""
    counts = Counter(epoch_names(metrics, validated=validated))
    if counts["loss"] > 1:
        return  # the name is reserved, and was reported at the metric
    clashes = [name for name, count in counts.items() if count > 1]
    clashes += [name for name in counts if (match := _VALUE.fullmatch(name)) and match[1] in counts]
    training = [name for name in clashes if name.removeprefix("val_") not in clashes or not name.startswith("val_")]
    if training:
        pointer.add_fault(
            FaultCode.DUPLICATE_NAME,
            f"Training would log different values under the same name: {listed(training)}.",
            received=training[0],
            expected="metrics with other names",
        )
