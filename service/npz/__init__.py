"""Inspects an upload before it is stored: the arrays in it, and what their values are.

An `.npz` is a zip file of `.npy` files, each a short header and the numbers. We parse the headers with a few lines of
our own instead of NumPy: they accept less than NumPy does (plain numbers only). The values are read once, in chunks.
"""

from service.npz.headers import MAX_HEADER as MAX_HEADER
from service.npz.inspection import Inspection as Inspection
from service.npz.inspection import inspect as inspect
from service.npz.members import Limits as Limits

__all__ = ["MAX_HEADER", "Inspection", "Limits", "inspect"]
