"""Which of this process's environment variables its children may see. The others hold its secrets.

This is an allow-list, because nobody can list in advance what a deployment calls its passwords.
"""

import os
from collections.abc import Mapping
from typing import Final

_NAMES: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV"),
        # How Keras's downloads reach the network.
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
        # Where libraries and data are.
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "KERAS_HOME"),
    }
)
_PREFIXES: Final = ("LC_", "PYTHON", "TF_", "XLA_", "CUDA_", "NVIDIA_", "OMP_", "MALLOC_")

_DEFAULTS: Final = {
    # TensorFlow logs instruction sets and the end of every data set; none of that belongs in a job's log.
    "TF_CPP_MIN_LOG_LEVEL": "2",
    # numpy's OpenBLAS starts threads at import, and the fork server must not have any. TensorFlow has its own.
    "OPENBLAS_NUM_THREADS": "1",
}
_FIXED: Final = {"KERAS_BACKEND": "tensorflow"}


def for_children(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that children get."""
    allowed = {name: value for name, value in environment.items() if is_allowed(name)}
    return {**_DEFAULTS, **allowed, **_FIXED}


def drop_secrets() -> None:
    """Reduce this process's own environment to what its children get. Call it after the settings were read."""
    allowed = for_children(os.environ)
    os.environ.clear()
    os.environ.update(allowed)


def is_allowed(name: str) -> bool:
    """Return whether children may see the variable: it holds no secret."""
    return name.upper() in _NAMES or name.startswith(_PREFIXES)
