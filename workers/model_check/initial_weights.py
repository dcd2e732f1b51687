"""Check whether stored weights can be loaded into the model, without having the weights of either."""

from dataclasses import dataclass
from typing import Any, Final

import keras
import tensorflow as tf

from fitqueue.model_states import states
from fitqueue.spec import PartialJob
from fitqueue.spec.checks.consistency import without_state
from fitqueue.spec.fields.partial import PartialCompile
from fitqueue.spec.fields.training import InitialWeights
from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer, listed
from workers.keras_tools.compiling import build_optimizer
from workers.keras_tools.errors import ModelBuildError
from workers.keras_tools.training_state import (
    StoredState,
    compare_optimizer,
    compare_states,
    kinds_agree,
    numbered,
    state_in,
    variables_of,
)
from workers.keras_tools.weights import Filled, Pair, StoredWeights, WeightsMismatch, from_arrays, from_model, match

_LOSS_SCALED: Final = "mixed_float16"


@dataclass(frozen=True)
class Source:
    """What is known of what a job starts with: names, shapes and dtypes."""

    weights: StoredWeights
    state: StoredState


def source_in(arrays: dict[str, Any]) -> Source:
    """Return what is known of an uploaded file."""
    return Source(from_arrays(arrays), state_in(arrays))


def source_of(model: keras.Model, compiled: dict[str, Any] | None) -> Source | None:
    """Return what is known of a checkpoint of a job with this model; None if Keras needs the weights to tell.

    Args:
        compiled: how the job compiles the model, if its optimizer is continued.
    """
    weights = from_model(model)
    if weights is None:
        return None
    state = StoredState(states=numbered(states(model)))
    if compiled is not None and (built := _build_optimizer(PartialCompile.model_validate(compiled), model)) is not None:
        state.optimizer_name, state.optimizer = built
    return Source(weights, state)


def check_initial_weights(
    model: keras.Model, source: Source | None, spec: PartialJob, options: InitialWeights, pointer: Pointer
) -> None:
    """Check that what is stored fills what it must fill of this model and its optimizer, and say what that is.

    Args:
        source: None if nothing is known of it.
    """
    if source is None:
        return
    source_pointer = pointer / options.source
    try:
        pairs, filled = match(model, source.weights, by_name=options.by_name, skip_mismatch=options.skip_mismatch)
        _check_kinds(pairs)
        if options.needs_same_model and filled.unused:
            raise WeightsMismatch(
                f"The stored weights have layers that this model does not have: {listed(filled.unused)}.",
                filled.unused,
                "the layers of this model",
            )
    except WeightsMismatch as error:
        source_pointer.add_fault(FaultCode.CONFLICT, str(error), error.received, error.expected)
    except Exception:  # a layer of this model needs its weights to tell what a file has of them
        return
    else:
        _report(filled, options, pointer)
        _check_state(model, source.state, spec, options, source_pointer)


def _check_kinds(pairs: list[Pair]) -> None:
    """Check that integers are filled from integers, and other numbers from such.

    Raises:
        WeightsMismatch: they are not.
    """
    for pair in pairs:
        stored = pair.stored.variables if pair.stored is not None else {}
        for path in pair.needed.keys() & stored.keys():
            needed, found = pair.needed[path].dtype, stored[path].dtype
            if not kinds_agree(needed, found):
                message = (
                    f"The stored weights of the layer {pair.layer.name!r} are of {found}, and the layer's of {needed}."
                )
                raise WeightsMismatch(message, str(found), str(needed))


def _check_state(
    model: keras.Model, stored: StoredState, spec: PartialJob, options: InitialWeights, pointer: Pointer
) -> None:
    try:
        if options.states:
            compare_states(states(model), _as_built(stored, model, spec))
        if options.optimizer and (built := _build_optimizer(spec.compile, model)) is not None:
            compare_optimizer(*built, stored)
    except WeightsMismatch as error:
        pointer.add_fault(FaultCode.CONFLICT, str(error), error.received, error.expected)


def _as_built(stored: StoredState, model: keras.Model, spec: PartialJob) -> StoredState:
    """Return the states without those of recurrent layers, if the job has any: this check builds it without."""
    if spec.model is None or without_state(spec.model) == spec.model:
        return stored
    return StoredState(states=dict(list(stored.states.items())[: len(states(model))]))


def _build_optimizer(compiled: PartialCompile, model: keras.Model) -> tuple[str, dict[str, Any]] | None:
    """Return the name and the variables of the optimizer of a compiled model; None if Keras refuses it.

    In a graph, variables are only symbolic.
    """
    if compiled.optimizer is None:
        return None
    with tf.Graph().as_default():
        try:
            optimizer = build_optimizer(compiled.optimizer)
        except ModelBuildError:
            return None
        if compiled.dtype_policy == _LOSS_SCALED and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
        optimizer.build([_symbolic(variable) for variable in model.trainable_variables])
        return optimizer.name, variables_of(optimizer)


def _symbolic(variable: keras.Variable) -> keras.Variable:
    """Return a variable for which an optimizer can be built."""
    symbolic = keras.Variable("zeros", shape=variable.shape, dtype=variable.dtype, name=variable.name)
    symbolic._path = variable.path  # Muon looks at it
    return symbolic


def _report(filled: Filled, options: InitialWeights, pointer: Pointer) -> None:
    if not filled.wholly and not filled.partly:
        message = f"No layer of this model gets stored weights. {filled}"
        pointer.add_notice(NoticeCode.SUSPICIOUS, message)
    elif options.by_name or options.skip_mismatch:
        pointer.add_notice(NoticeCode.INITIALIZED, str(filled))
    elif filled.unused:
        message = f"The stored weights have layers that this model does not have: {listed(filled.unused)}."
        (pointer / options.source).add_notice(NoticeCode.SUSPICIOUS, message)
