"""What is said of a cursor that no page of a list has given."""

from fitqueue.errors import Fault, InvalidRequest
from fitqueue.text import truncate


def invalid_cursor(cursor: str, message: str, expected: str = "`next_cursor` of the page before") -> InvalidRequest:
    """Return the error for a cursor that was sent."""
    fault = Fault(
        pointer="cursor", code="invalid_cursor", message=message, received=truncate(cursor, 100), expected=expected
    )
    return InvalidRequest(errors=[fault])
