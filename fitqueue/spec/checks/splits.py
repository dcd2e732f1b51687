"""Check what `validation_split` takes away from the data: Keras takes the samples at its end, before it shuffles."""

from collections.abc import Mapping, Sequence
from typing import Final

from fitqueue.datasets import ArrayInfo, ClassCount, DatasetInfo
from fitqueue.spec.fields.data import DataSpec, array_refs
from fitqueue.spec.fields.partial import PartialJob, PartialObject
from fitqueue.spec.fields.training import KerasObject
from fitqueue.spec.findings import NoticeCode, Pointer
from fitqueue.spec.keras_objects.naming import snake_case

_MAX_NAMED: Final = 10
_CLASS_LOSSES: Final = frozenset(
    {"ce", "bce", "hinge", "squared_hinge", "categorical_hinge", "dice", "tversky", "circle"}
)
_CLASS_LOSS_WORDS: Final = ("crossentropy", "cross_entropy")


def check_split(partial: PartialJob, data: DataSpec, info: DatasetInfo, pointer: Pointer) -> None:
    """Add notices about a split that leaves classes out, and about a `shuffle_split` that shuffles nothing."""
    fit = partial.fit
    if fit is None:
        return
    if data.shuffle_split and not fit.validation_split:
        message = "The job has no `fit.validation_split`, so this has no effect."
        (pointer / "data" / "shuffle_split").add_notice(NoticeCode.IGNORED, message)
    if data.shuffle_split or not fit.validation_split:
        return
    for ref in array_refs(data.y):
        array = info.arrays.get(ref.array)
        if array is not None and _is_for_classes(_loss_of(partial.compile.loss, ref.key)):
            trained = fit.training_samples(array.shape[0] or 0)
            _check_classes(array, trained, pointer / "fit" / "validation_split")


def _loss_of(loss: PartialObject | Mapping[str, PartialObject], key: str | None) -> PartialObject:
    if not isinstance(loss, Mapping):
        return loss
    return loss.get(key) if key is not None else next(iter(loss.values()), None)


def _is_for_classes(loss: PartialObject) -> bool:
    if loss is None:
        return False
    name = snake_case(loss.class_name if isinstance(loss, KerasObject) else loss)
    return name in _CLASS_LOSSES or any(word in name for word in _CLASS_LOSS_WORDS)


def _check_classes(array: ArrayInfo, trained: int, pointer: Pointer) -> None:
    classes = array.values.classes if array.values is not None else None
    validated = (array.shape[0] or 0) - trained
    if classes is None or len(classes) < 2 or trained <= 0 or validated <= 0:
        return
    unseen = [each for each in classes if each.first >= trained]
    in_validation = [each for each in classes if each.last >= trained]
    if unseen:
        problem = f"{_named(unseen)}, of which the {trained:,} samples to train on have none"
    elif len(in_validation) == 1:
        problem = f"a single class: {in_validation[0].label}"
    else:
        return
    pointer.add_notice(
        NoticeCode.SUSPICIOUS,
        f"The data is sorted. Keras validates on the {validated:,} samples at its end, and they have {problem}. With "
        "`data.shuffle_split: true`, the samples are shuffled before.",
    )


def _named(classes: Sequence[ClassCount]) -> str:
    shown = ", ".join(f"{each.label} ({each.samples:,} samples)" for each in classes[:_MAX_NAMED])
    more = f", … ({len(classes)} in all)" if len(classes) > _MAX_NAMED else ""
    return ("the class " if len(classes) == 1 else "the classes ") + shown + more
