"""Check what metrics log."""

from fitqueue.spec.fields.logged import MAX_VALUES, names_of_values
from fitqueue.spec.findings import NoticeCode, Pointer


def report_several_values(name: str, count: int, pointer: Pointer) -> None:
    """Add a notice about a metric that gives several values, such as one for each class.

    Args:
        name: what its mean is logged as.
        count: how many values it gives.
    """
    if count < 2:
        return
    names = names_of_values(name, count)
    values = f"Each is logged, from {names[0]} to {names[-1]}" if names else f"More than {MAX_VALUES} are not logged"
    message = f"It gives {count} values. {values}, and their mean as {name}, which callbacks can monitor."
    pointer.add_notice(NoticeCode.SEVERAL_VALUES, message)
