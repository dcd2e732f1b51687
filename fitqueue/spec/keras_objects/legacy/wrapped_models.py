"""A model with something around it, or without what says its class."""

from typing import Any

from fitqueue.spec.findings import FaultCode, Pointer


def report_wrapped_model(model: dict[str, Any], pointer: Pointer) -> bool:
    """Report what contains a model, or only the config of one, and say what to send. Return whether it is that."""
    if "class_name" in model:
        return False
    if isinstance(model.get("model_config"), dict | str):
        advice = "This is not a model, but contains one. Send what it has under `model_config`."
    elif isinstance(model.get("layers"), list):
        class_name = "Functional" if "input_layers" in model else "Sequential"
        advice = (
            "This is the config of a model, as `get_config()` returns it. Send what `to_json()` returns, or "
            f'{{"class_name": "{class_name}", "config": …}} with this as the config.'
        )
    else:
        return False
    pointer.add_fault(FaultCode.NOT_SUPPORTED, advice, received=model, expected="what `to_json()` of Keras returns")
    return True
