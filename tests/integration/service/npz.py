"""Data sets to upload."""

import io
from typing import Any

import numpy as np


def npz(**arrays: Any) -> bytes:
    """Return an `.npz` file of these arrays."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()
