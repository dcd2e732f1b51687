"""The client: everything that a FitQueue service offers, as one class that raises the errors of `fitqueue.errors`."""

from fitqueue.client.client import Client
from fitqueue.client.configuration import Connection, find_connection

__all__ = ["Client", "Connection", "find_connection"]
