"""Check that data, preparation and model fit together, as far as shapes tell before anything is loaded."""

from collections.abc import Mapping, Sequence

from fitqueue.datasets import BUILTIN, ArrayInfo, DatasetInfo
from fitqueue.spec.data import DataSpec, PrepareStep, StepError, Validation, parts, prepared_shape
from fitqueue.spec.keras_objects import model as models
from fitqueue.spec.report import FaultCode, NoticeCode, Pointer, did_you_mean, listed
from fitqueue.spec.training import FitSpec, KerasObject

Shape = tuple[int | None, ...]


def fault_unknown_dataset(name: str, at: Pointer) -> None:
    at.fault(
        FaultCode.UNKNOWN_DATASET,
        f"There is no data set {name[:64]!r}." + did_you_mean(name, BUILTIN),
        received=name,
        expected=f"{listed(list(BUILTIN))}, or the id or name of an uploaded data set",
    )


def check_validation(data: DataSpec, fit: FitSpec, validated: bool, at: Pointer) -> None:
    """`validated`: whether the job names data to validate on, be it sound or not."""
    if not validated:
        _ignore_validation(fit, at)
    elif not fit.validates:
        (at / "validation_freq").notice(
            NoticeCode.SUSPICIOUS,
            f"None of the {fit.epochs} epochs is validated: no `val_` is logged, and `best` follows the loss.",
        )
    if data.validation is not None and fit.validation_split > 0:
        (at / "validation_split").fault(
            FaultCode.CONFLICT,
            "Validation data is named in `data.validation` already.",
            received=fit.validation_split,
            expected="one of the two",
        )


def _ignore_validation(fit: FitSpec, at: Pointer) -> None:
    for name in ("validation_freq", "validation_steps", "validation_batch_size"):
        if name in fit.model_fields_set and getattr(fit, name) is not None:
            message = "The job has no validation data: it is not validated, however this is set."
            (at / name).notice(NoticeCode.IGNORED, message)


def check_class_weight(data: DataSpec, fit: FitSpec, at: Pointer) -> None:
    if fit.class_weight is None:
        return
    if data.sample_weight is not None:
        at.fault(FaultCode.CONFLICT, "Keras takes `class_weight` or `data.sample_weight`, not both.", fit.class_weight)
    if isinstance(data.y, dict):
        message = "Classes have weights only where there is one array of targets: give `data.sample_weight` by output."
        at.fault(FaultCode.CONFLICT, message, fit.class_weight)


def check_data(data: DataSpec, info: DatasetInfo, at: Pointer) -> Shape | None:
    """The shape of one prepared sample of the inputs; None where there are several, or one on the way is faulty."""
    trained = _arrays(data, info, at)
    prepared = {axis: _prepared_parts(axis, data, trained[axis], at) for axis in ("x", "y")}
    if data.validation is not None:
        _check_validation_arrays(data, data.validation, info, prepared, at / "validation")
    for axis, arrays in prepared.items():
        for key, array in arrays.items():
            _check_one_length(array, _inside(at / axis, key))
    only = prepared["x"].get(None)
    return only.shape[1:] if only is not None else None


Parts = Mapping[str | None, ArrayInfo | None]
"""Arrays under the names of the inputs or outputs that they are for; None for one that is faulty already."""


def _inside(at: Pointer, key: str | None) -> Pointer:
    return at if key is None else at / key


def _arrays(names: DataSpec | Validation, info: DatasetInfo, at: Pointer) -> dict[str, Parts]:
    found: dict[str, Parts] = {}
    for axis in ("x", "y", "sample_weight"):
        wanted = parts(getattr(names, axis))
        found[axis] = {part.key: _array(part.array, info, _inside(at / axis, part.key)) for part in wanted}
    first = next((array for array in found["x"].values() if array is not None), None)
    for axis, arrays in found.items():
        for key, array in arrays.items():
            _check_counts(first, array, _inside(at / axis, key))
    _check_weights(names, found["sample_weight"], at / "sample_weight")
    return found


def _check_weights(names: DataSpec | Validation, weights: Parts, at: Pointer) -> None:
    outputs = list(names.y) if isinstance(names.y, dict) else []
    for key, array in weights.items():
        if key is not None and key not in outputs:
            (at / key).fault(
                FaultCode.UNKNOWN_NAME,
                f"Weights of samples go to the targets of `y`, and there is none of the name {key[:64]!r}.",
                received=key,
                expected=f"one of {listed(outputs)}" if outputs else "the name of one array",
            )
        if array is not None and array.dtype in ("bool", "str"):
            message = f"Weights of samples are numbers, and the array holds {array.dtype}."
            _inside(at, key).fault(FaultCode.WRONG_TYPE, message)
    only = weights.get(None)
    if only is not None and len(outputs) > 1 and only.shape[1:] not in ((), (1,)):
        at.fault(
            FaultCode.BAD_SHAPE,
            "Weights for all outputs together are one number a sample.",
            received=list(only.shape),
            expected=f"{[only.shape[0]]}, or an object with weights for each output",
        )


def _prepared_parts(axis: str, data: DataSpec, arrays: Parts, at: Pointer) -> Parts:
    names, steps, here = getattr(data, axis), getattr(data.prepare, axis), at / "prepare" / axis
    keyed = isinstance(steps, Mapping)
    for key in steps if keyed else ():
        if isinstance(names, str) or key not in names:
            (here / key).fault(
                FaultCode.UNKNOWN_NAME,
                f"`data.{axis}` has no array under the name {key[:64]!r}.",
                received=key,
                expected="a list of steps" if isinstance(names, str) else f"one of {listed(list(names))}",
            )
    return {
        part.key: _prepared(arrays[part.key], part.steps, here / str(part.key) if keyed else here)
        for part in parts(names, steps)
    }


def _check_validation_arrays(
    data: DataSpec, validation: Validation, info: DatasetInfo, trained: Mapping[str, Parts], at: Pointer
) -> None:
    arrays = _arrays(validation, info, at)
    for axis in ("x", "y"):
        wanted, given = list(trained[axis]), list(arrays[axis])
        if set(wanted) != set(given):
            (at / axis).fault(
                FaultCode.CONFLICT,
                f"`data.{axis}` and `data.validation.{axis}` name different parts.",
                received=getattr(validation, axis),
                expected="the name of one array"
                if wanted == [None]
                else f"names for {listed([str(k) for k in wanted])}",
            )
            continue
        for part in parts(getattr(data, axis), getattr(data.prepare, axis)):
            here = _inside(at / axis, part.key)
            _check_alike(trained[axis][part.key], arrays[axis][part.key], part.steps, here)


def _array(name: str, info: DatasetInfo, at: Pointer) -> ArrayInfo | None:
    array = info.arrays.get(name)
    if array is None:
        at.fault(
            FaultCode.UNKNOWN_ARRAY,
            f"The data set {info.name!r} has no array {name[:64]!r}." + did_you_mean(name, info.arrays),
            received=name,
            expected="one of " + listed(list(info.arrays), most=40),
        )
    elif not array.shape:
        at.fault(FaultCode.BAD_SHAPE, f"The array {name!r} is a single number and has no samples.", name, "an array")
        return None
    return array


def _check_counts(x: ArrayInfo | None, other: ArrayInfo | None, at: Pointer) -> None:
    if x is not None and other is not None and x.shape[0] != other.shape[0]:
        at.fault(
            FaultCode.BAD_SHAPE,
            f"There are {x.shape[0]} samples and {other.shape[0]} of these.",
            received=list(other.shape),
            expected=f"as many as there are samples: {x.shape[0]}",
        )


def _prepared(array: ArrayInfo | None, steps: Sequence[PrepareStep], at: Pointer) -> ArrayInfo | None:
    if array is None:
        return None
    try:
        return prepared_shape(array, steps)
    except StepError as error:
        step = steps[error.index]
        (at / error.index).fault(
            FaultCode.BAD_SHAPE, f"This step does not fit the data: {error}.", step.model_dump(mode="json")
        )
        return None


def _check_alike(trained: ArrayInfo | None, array: ArrayInfo | None, steps: Sequence[PrepareStep], at: Pointer) -> None:
    """A sample for validation has the shape of one for training."""
    if trained is None or array is None:
        return
    try:
        shape = prepared_shape(array, steps).shape[1:]
    except StepError as error:
        at.fault(FaultCode.BAD_SHAPE, f"Step {error.index} of the preparation does not fit this array: {error}.")
        return
    if shape != trained.shape[1:]:
        at.fault(
            FaultCode.BAD_SHAPE,
            "Samples for validation and for training have different shapes.",
            received=list(shape),
            expected=str(list(trained.shape[1:])),
        )


def _check_one_length(array: ArrayInfo | None, at: Pointer) -> None:
    if array is not None and None in array.shape:
        at.fault(
            FaultCode.BAD_SHAPE,
            "The samples differ in length, and a model takes samples of one length.",
            received=list(array.shape),
            expected='a step {"pad_sequences": {"maxlen": …}}',
        )


def match_input_shape(model: KerasObject, sample: Shape, at: Pointer) -> KerasObject:
    """The model, with an InputLayer of the data's shape where it had none; a fault where its own does not fit."""
    raw = model.model_dump()
    found = models.input_shape(raw)
    if found is None:
        if model.class_name == "Sequential":
            return KerasObject.model_validate(models.with_input(raw, list(sample), at))
        return model
    shape, pointer = found
    if shape is not None and not accepts_shape(shape, sample):
        Pointer(at.report, at.text + pointer).fault(
            FaultCode.BAD_SHAPE,
            f"The model takes samples of shape {list(shape)}, and the prepared data has {list(sample)}.",
            received=list(shape),
            expected=str(list(sample)),
        )
    return model


def accepts_shape(shape: Sequence[int | None], sample: Shape) -> bool:
    """As Keras has it, a last axis of length 1 may be missing or be one too many."""
    wanted, given = list(shape), list(sample)
    if len(wanted) == len(given) + 1 and wanted[-1] == 1:
        given.append(1)
    elif len(given) == len(wanted) + 1 and given[-1] == 1:
        given.pop()
    return len(wanted) == len(given) and all(
        want is None or have is None or want == have for want, have in zip(wanted, given, strict=True)
    )
