"""FitQueue: `model.fit` as a service. This package is what users install, and the words that every part speaks."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fitqueue.client import Client as Client

__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> Any:
    # `import fitqueue` happens in every process of the service and before each `fitqueue --help`: httpx and the
    # reading of package metadata can wait.
    if name == "Client":
        from fitqueue.client import Client

        return Client
    if name == "__version__":
        from importlib.metadata import version

        return version("fitqueue")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
