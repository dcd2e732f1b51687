"""What of this process's environment its children may see. Its secrets are in the rest.

An allow-list, because nobody can list in advance what a deployment calls its passwords.
"""

import os
from collections.abc import Mapping
from typing import Final

_NAMES: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV"),
        # How Keras's loaders reach the network.
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
        # Where libraries and data lie.
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "KERAS_HOME"),
    }
)
_PREFIXES: Final = ("LC_", "PYTHON", "TF_", "XLA_", "CUDA_", "NVIDIA_", "OMP_", "MALLOC_")

_DEFAULTS: Final = {
    # TensorFlow tells of instruction sets and of every end of a data set; nothing of it belongs in a job's log.
    "TF_CPP_MIN_LOG_LEVEL": "2",
    # numpy's OpenBLAS starts threads when it is imported, and the nursery must have none. TensorFlow has its own.
    "OPENBLAS_NUM_THREADS": "1",
}
_FIXED: Final = {"KERAS_BACKEND": "tensorflow"}


def for_children(environment: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environment.items() if _may_be_seen(name)}
    return {**_DEFAULTS, **kept, **_FIXED}


def drop_secrets() -> None:
    """Make this process's environment the one that its children get. To be called when the settings are read."""
    kept = for_children(os.environ)
    os.environ.clear()
    os.environ.update(kept)


def _may_be_seen(name: str) -> bool:
    return name.upper() in _NAMES or name.startswith(_PREFIXES)
