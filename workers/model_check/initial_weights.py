"""Check whether stored weights can be loaded into the model, without having the weights of either."""

import keras

from fitqueue.spec.fields.training import InitialWeights
from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer, listed
from workers.keras_tools.weights import Filled, StoredWeights, WeightsMismatch, match


def check_initial_weights(
    model: keras.Model, stored: StoredWeights | None, options: InitialWeights, pointer: Pointer
) -> None:
    """Check that the stored weights fill the layers of this model that they must fill, and say which they fill.

    Args:
        stored: None if nothing is known of them.
    """
    if stored is None:
        return
    try:
        _, filled = match(model, stored, by_name=options.by_name, skip_mismatch=options.skip_mismatch)
    except WeightsMismatch as error:
        (pointer / options.source).add_fault(FaultCode.CONFLICT, str(error), error.received, error.expected)
    except Exception:  # a layer of this model needs its weights to tell what a file has of them
        return
    else:
        _report(filled, options, pointer)


def _report(filled: Filled, options: InitialWeights, pointer: Pointer) -> None:
    if not filled.wholly and not filled.partly:
        message = f"No layer of this model gets stored weights. {filled}"
        pointer.add_notice(NoticeCode.SUSPICIOUS, message)
    elif options.by_name or options.skip_mismatch:
        pointer.add_notice(NoticeCode.INITIALIZED, str(filled))
    elif filled.unused:
        message = f"The stored weights have layers that this model does not have: {listed(filled.unused)}."
        (pointer / options.source).add_notice(NoticeCode.SUSPICIOUS, message)
