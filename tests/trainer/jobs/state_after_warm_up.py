"""Prints, as JSON, what a warm-up changes in the modules of Keras and TensorFlow. Run it in a process of its own."""

import hashlib
import json
import random
import sys
from types import ModuleType
from typing import Any

import numpy as np
from keras.src.backend.common import global_state

import workers.trainer.preload  # noqa: F401 -- imports what a child has
from workers.shared.protocol import WarmUp
from workers.trainer.warm_up import warm_up


def main() -> None:
    state: dict[str, Any] = {"random_before": random_state(), "global_before": keras_state()}
    before = module_state()
    warm_up(WarmUp(gpus=[], cpu_devices=1, threads=1))
    after = module_state()
    state["changed"] = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    sys.stdout.write(json.dumps(state | {"random_after": random_state(), "global_after": keras_state()}))


def random_state() -> str:
    return hashlib.sha256(repr((random.getstate(), np.random.get_state())).encode()).hexdigest()


def keras_state() -> list[str]:
    trackers = (global_state.GLOBAL_STATE_TRACKER, global_state.GLOBAL_SETTINGS_TRACKER)
    return [repr(sorted(vars(tracker).items())) for tracker in trackers]


def module_state() -> dict[str, str]:
    """Return what the modules and their classes hold, each value in a form that can be compared later."""
    found = {}
    for module_name, module in list(sys.modules.items()):
        if not isinstance(module, ModuleType) or not module_name.startswith(("keras.", "tensorflow.python.")):
            continue
        for name, value in public(vars(module)):
            found[f"{module_name}.{name}"] = describe(value)
            if isinstance(value, type) and value.__module__ == module_name:
                found |= {f"{module_name}.{name}:{key}": describe(held) for key, held in public(vars(value))}
    return found


def public(names: Any) -> list[tuple[str, Any]]:
    return [
        (name, value)
        for name, value in names.items()
        if not name.startswith("__") and not isinstance(value, ModuleType)
    ]


def describe(value: Any) -> str:
    if isinstance(value, bool | int | float | str | bytes | None):
        return repr(value)
    if isinstance(value, dict | list | set | tuple):
        return f"{type(value).__name__} of {len(value)}"
    return f"{type(value).__name__} {id(value)}"


if __name__ == "__main__":
    main()
