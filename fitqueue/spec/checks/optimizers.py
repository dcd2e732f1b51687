"""Which optimizer changes the weights, if one wraps another."""

from collections.abc import Mapping
from typing import Any

from fitqueue.spec.fields.training import KerasObject


def applying_config(optimizer: KerasObject) -> tuple[Mapping[str, Any], str]:
    """Return the config of the optimizer that applies the gradients, and a JSON pointer to it from that of `optimizer`.

    A LossScaleOptimizer scales gradients and applies them by its inner optimizer.
    """
    config, pointer = optimizer.config, ""
    while isinstance(inner := config.get("inner_optimizer"), Mapping):
        config, pointer = inner["config"], f"{pointer}/inner_optimizer/config"
    return config, pointer
