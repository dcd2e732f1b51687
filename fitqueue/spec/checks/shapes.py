"""Check that data, preparation and model agree, as far as the shapes of the stored arrays tell."""

from collections.abc import Mapping, Sequence

from fitqueue.datasets import BUILTIN, ArrayInfo, DatasetInfo
from fitqueue.spec.fields.data import DataSpec, PrepareStep, StepError, Validation, array_refs, prepared_info
from fitqueue.spec.fields.training import FitSpec, KerasObject
from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer, did_you_mean, listed, quoted
from fitqueue.spec.keras_objects.model import input_layer, with_input

Shape = tuple[int | None, ...]

ArraysByKey = Mapping[str | None, ArrayInfo | None]
"""Arrays by the input or output they are for, a single one under None. The array is None if it is faulty."""


def _inside(pointer: Pointer, key: str | None) -> Pointer:
    return pointer if key is None else pointer / key


# --- Arguments of fit ----------------------------------------------------------------------------------------------


def check_validation(data: DataSpec, fit: FitSpec, has_validation_data: bool, pointer: Pointer) -> None:
    """Check the arguments of `fit` that concern validation.

    Args:
        has_validation_data: whether the job names validation data, be it valid or not.
    """
    if not has_validation_data:
        _report_ignored(fit, pointer)
    elif not fit.validates:
        (pointer / "validation_freq").add_notice(
            NoticeCode.SUSPICIOUS,
            f"None of the {fit.epochs} epochs is validated: no `val_…` values are logged, and `best` follows the loss.",
        )
    if data.validation is not None and fit.validation_split > 0:
        (pointer / "validation_split").add_fault(
            FaultCode.CONFLICT,
            "The job already names validation data in `data.validation`.",
            received=fit.validation_split,
            expected="either `data.validation` or `fit.validation_split`",
        )


def _report_ignored(fit: FitSpec, pointer: Pointer) -> None:
    for name in ("validation_freq", "validation_steps", "validation_batch_size"):
        if name in fit.model_fields_set and getattr(fit, name) is not None:
            message = "The job has no validation data, so this has no effect."
            (pointer / name).add_notice(NoticeCode.IGNORED, message)


# --- Arrays --------------------------------------------------------------------------------------------------------


def report_unknown_dataset(name: str, pointer: Pointer) -> None:
    """Report that there is no data set with this name or id."""
    pointer.add_fault(
        FaultCode.UNKNOWN_DATASET,
        f"There is no data set {quoted(name)}." + did_you_mean(name, BUILTIN),
        received=name,
        expected=f"{listed(list(BUILTIN))}, or the id or name of an uploaded data set",
    )


def check_data(data: DataSpec, info: DatasetInfo, pointer: Pointer) -> Shape | None:
    """Check the arrays of a job and their preparation.

    Returns:
        The shape of one prepared sample; None if there are several inputs, or if a fault was found on the way.
    """
    stored = _find_arrays(data, info, pointer)
    prepared = {field: _prepare(field, data, stored[field], pointer) for field in ("x", "y")}
    if data.validation is not None:
        _check_validation_arrays(data, data.validation, info, prepared, pointer / "validation")
    for field, arrays in prepared.items():
        for key, array in arrays.items():
            _check_equal_lengths(array, _inside(pointer / field, key))
    single = prepared["x"].get(None)
    return single.shape[1:] if single is not None else None


def _find_arrays(names: DataSpec | Validation, info: DatasetInfo, pointer: Pointer) -> dict[str, ArraysByKey]:
    by_field: dict[str, ArraysByKey] = {}
    for field in ("x", "y", "sample_weight"):
        refs = array_refs(getattr(names, field))
        by_field[field] = {ref.key: _find_array(ref.array, info, _inside(pointer / field, ref.key)) for ref in refs}
    first = next((array for array in by_field["x"].values() if array is not None), None)
    for field, arrays in by_field.items():
        for key, array in arrays.items():
            _check_sample_count(first, array, _inside(pointer / field, key))
    _check_sample_weights(names, by_field["sample_weight"], pointer / "sample_weight")
    return by_field


def _why_missing(name: str, info: DatasetInfo) -> str:
    if reason := info.left_out.get(name):
        return f"The array {quoted(name)} was left out when the data set was uploaded: {reason}."
    return f"The data set {info.name!r} has no array {quoted(name)}." + did_you_mean(name, info.arrays)


def _find_array(name: str, info: DatasetInfo, pointer: Pointer) -> ArrayInfo | None:
    array = info.arrays.get(name)
    if array is None:
        pointer.add_fault(
            FaultCode.UNKNOWN_ARRAY,
            _why_missing(name, info),
            received=name,
            expected="one of " + listed(list(info.arrays), most=40),
        )
    elif not array.shape:
        message = f"The array {name!r} is a single number, without an axis of samples."
        pointer.add_fault(FaultCode.BAD_SHAPE, message, name, "an array with an axis of samples")
        return None
    elif 0 in array.shape:
        what = "no samples" if array.shape[0] == 0 else "no values in a sample"
        message = f"The array {quoted(name)} is empty: there are {what}."
        pointer.add_fault(FaultCode.BAD_SHAPE, message, list(array.shape), "axes of at least 1")
        return None
    return array


def _check_sample_count(x: ArrayInfo | None, other: ArrayInfo | None, pointer: Pointer) -> None:
    if x is not None and other is not None and x.shape[0] != other.shape[0]:
        pointer.add_fault(
            FaultCode.BAD_SHAPE,
            f"The job has {x.shape[0]} samples, but this array has {other.shape[0]}.",
            received=list(other.shape),
            expected=f"{x.shape[0]} samples",
        )


def _check_sample_weights(names: DataSpec | Validation, weights: ArraysByKey, pointer: Pointer) -> None:
    outputs = list(names.y) if isinstance(names.y, dict) else []
    for key, array in weights.items():
        if key is not None and key not in outputs:
            (pointer / key).add_fault(
                FaultCode.UNKNOWN_NAME,
                f"There are no targets {quoted(key)} in `y` for these sample weights.",
                received=key,
                expected=f"one of {listed(outputs)}" if outputs else "the name of one array",
            )
        if array is not None and array.dtype in ("bool", "str"):
            message = f"Sample weights must be numbers, but the array has the dtype {array.dtype}."
            _inside(pointer, key).add_fault(FaultCode.WRONG_TYPE, message)
    single = weights.get(None)
    if single is not None and len(outputs) > 1 and single.shape[1:] not in ((), (1,)):
        pointer.add_fault(
            FaultCode.BAD_SHAPE,
            "Sample weights for all outputs together must be one number per sample.",
            received=list(single.shape),
            expected=f"{[single.shape[0]]}, or an object with weights for each output",
        )


# --- Preparation ---------------------------------------------------------------------------------------------------


def _prepare(field: str, data: DataSpec, arrays: ArraysByKey, pointer: Pointer) -> ArraysByKey:
    """Return the prepared arrays of a field ("x" or "y"), and report steps that cannot be applied to them."""
    names, steps, steps_pointer = getattr(data, field), getattr(data.prepare, field), pointer / "prepare" / field
    by_name = isinstance(steps, Mapping)
    for key in steps if by_name else ():
        if isinstance(names, str) or key not in names:
            (steps_pointer / key).add_fault(
                FaultCode.UNKNOWN_NAME,
                f"`data.{field}` has no array under the name {quoted(key)}.",
                received=key,
                expected="a list of steps" if isinstance(names, str) else f"one of {listed(list(names))}",
            )
    return {
        ref.key: _apply_steps(arrays[ref.key], ref.steps, steps_pointer / str(ref.key) if by_name else steps_pointer)
        for ref in array_refs(names, steps)
    }


def _apply_steps(array: ArrayInfo | None, steps: Sequence[PrepareStep], pointer: Pointer) -> ArrayInfo | None:
    if array is None:
        return None
    try:
        return prepared_info(array, steps)
    except StepError as error:
        step = steps[error.index]
        message = f"This step cannot be applied to the data: {error}."
        (pointer / error.index).add_fault(FaultCode.BAD_SHAPE, message, step.model_dump(mode="json"))
        return None


def _check_equal_lengths(array: ArrayInfo | None, pointer: Pointer) -> None:
    if array is not None and None in array.shape:
        pointer.add_fault(
            FaultCode.BAD_SHAPE,
            "The samples differ in length, but a model needs samples of equal length.",
            received=list(array.shape),
            expected='a step {"pad_sequences": {"maxlen": …}}',
        )


def _check_validation_arrays(
    data: DataSpec, validation: Validation, info: DatasetInfo, trained: Mapping[str, ArraysByKey], pointer: Pointer
) -> None:
    arrays = _find_arrays(validation, info, pointer)
    for field in ("x", "y"):
        expected_keys, keys = list(trained[field]), list(arrays[field])
        if set(expected_keys) != set(keys):
            names = "the name of one array"
            if expected_keys != [None]:
                names = f"an object with an array for each of {listed([str(key) for key in expected_keys])}"
            (pointer / field).add_fault(
                FaultCode.CONFLICT,
                f"`data.{field}` and `data.validation.{field}` do not have the same keys.",
                received=getattr(validation, field),
                expected=names,
            )
            continue
        for ref in array_refs(getattr(data, field), getattr(data.prepare, field)):
            array_pointer = _inside(pointer / field, ref.key)
            _check_same_shape(trained[field][ref.key], arrays[field][ref.key], ref.steps, array_pointer)


def _check_same_shape(
    trained: ArrayInfo | None, array: ArrayInfo | None, steps: Sequence[PrepareStep], pointer: Pointer
) -> None:
    """Check that the samples of a validation array have the shape of those to train on, once prepared."""
    if trained is None or array is None:
        return
    try:
        shape = prepared_info(array, steps).shape[1:]
    except StepError as error:
        message = f"Preparation step {error.index} cannot be applied to this array: {error}."
        pointer.add_fault(FaultCode.BAD_SHAPE, message)
        return
    if shape != trained.shape[1:]:
        pointer.add_fault(
            FaultCode.BAD_SHAPE,
            "The samples to validate on and those to train on have different shapes.",
            received=list(shape),
            expected=str(list(trained.shape[1:])),
        )


# --- The input of the model ----------------------------------------------------------------------------------------


def match_input_shape(model: KerasObject, sample: Shape, pointer: Pointer) -> KerasObject:
    """Return the model with an InputLayer of the data's shape if it had none; report a different shape of its own."""
    raw = model.model_dump()
    own_input = input_layer(raw)
    if own_input is None:
        if model.class_name == "Sequential":
            return KerasObject.model_validate(with_input(raw, list(sample), pointer))
        return model
    index, shape = own_input
    if shape is not None and not accepts_shape(shape, sample):
        (pointer / "config" / "layers" / index).add_fault(
            FaultCode.BAD_SHAPE,
            f"The model expects samples of shape {list(shape)}, but the prepared data has {list(sample)}.",
            received=list(shape),
            expected=str(list(sample)),
        )
    return model


def accepts_shape(shape: Sequence[int | None], sample: Shape) -> bool:
    """Return whether an input of this shape accepts a sample; Keras adds or drops a last axis of length 1."""
    lengths, sample_lengths = list(shape), list(sample)
    if len(lengths) == len(sample_lengths) + 1 and lengths[-1] == 1:
        sample_lengths.append(1)
    elif len(sample_lengths) == len(lengths) + 1 and sample_lengths[-1] == 1:
        sample_lengths.pop()
    return len(lengths) == len(sample_lengths) and all(
        length is None or sample_length is None or length == sample_length
        for length, sample_length in zip(lengths, sample_lengths, strict=True)
    )
