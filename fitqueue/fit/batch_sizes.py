"""The batch sizes that Keras chooses where a call of `fit` names none."""

import math
from typing import Any, Final

DEFAULT: Final = 32


def chosen_sizes(fit: dict[str, Any], samples: int, validation_samples: int | None) -> dict[str, int]:
    """Return the batch sizes that Keras takes and a job would not: those that make the given number of steps.

    The source is Keras's ArrayDataAdapter: without `batch_size`, it is ceil(samples / steps) if steps are given.

    Args:
        fit: the fields of the job's `fit` that the user gave.
        samples: of the data, before `validation_split` takes its part.
        validation_samples: of the validation data; None if there is none.
    """
    split = fit.get("validation_split") or 0
    trained = math.floor(samples * (1 - split)) if split else samples
    validated = samples - trained if split else validation_samples
    if fit.get("batch_size") is not None:
        return {}
    sizes = {"batch_size": _size(trained, fit.get("steps_per_epoch"))}
    if validated is not None and fit.get("validation_batch_size") is None:
        sizes["validation_batch_size"] = _size(validated, fit.get("validation_steps"))
    return sizes if set(sizes.values()) != {DEFAULT} else {}


def _size(samples: int, steps: int | None) -> int:
    return max(1, math.ceil(samples / steps)) if steps else DEFAULT
