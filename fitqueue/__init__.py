"""FitQueue: `model.fit` as a service. This is the package that users install; all other parts build on its types."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fitqueue.client import Client as Client
    from fitqueue.fit.spec import spec_of as spec_of

__all__ = ["Client", "__version__", "spec_of"]


def __getattr__(name: str) -> Any:
    # Every process of the service and every `fitqueue --help` imports this module: httpx and the package metadata are
    # loaded only when they are needed.
    if name == "Client":
        from fitqueue.client import Client

        return Client
    if name == "spec_of":
        from fitqueue.fit.spec import spec_of

        return spec_of
    if name == "__version__":
        from importlib.metadata import version

        return version("fitqueue")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
