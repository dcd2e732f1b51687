"""Inspects an upload before it is stored, the arrays in it and what their values are, and reads rows of them later.

An `.npz` is a zip file of `.npy` files, each a short header and the numbers. We parse the headers with a few lines of
our own instead of NumPy: they accept less than NumPy does (plain numbers only). The values are read once, in chunks.
"""

from service.npz.headers import MAX_HEADER as MAX_HEADER
from service.npz.headers import NotNumbers as NotNumbers
from service.npz.headers import Rejected as Rejected
from service.npz.inspection import Inspection as Inspection
from service.npz.inspection import inspect as inspect
from service.npz.members import Limits as Limits
from service.npz.rows import NoArray as NoArray
from service.npz.rows import Rows as Rows
from service.npz.rows import TooFar as TooFar
from service.npz.rows import read_rows as read_rows

__all__ = [
    "MAX_HEADER",
    "Inspection",
    "Limits",
    "NoArray",
    "NotNumbers",
    "Rejected",
    "Rows",
    "TooFar",
    "inspect",
    "read_rows",
]
