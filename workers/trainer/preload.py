"""The modules that the fork server imports once for all children. None may create a tensor or look for a device."""

import gc
import signal
from contextlib import suppress
from importlib import import_module

import workers.shared.entry
import workers.trainer.fork_probe
import workers.trainer.run  # noqa: F401 -- for the children

# Keras and TensorFlow import these in the first `fit`, or when the first .npz is read. Each child would do it again.
for late_import in (
    "encodings.cp437",
    "numpy.random",
    "tensorflow.python.data.ops.concatenate_op",
    "tensorflow.python.data.ops.flat_map_op",
    "tensorflow.python.data.ops.from_tensors_op",
    "tensorflow.python.data.ops.range_op",
    "tensorflow.python.data.ops.zip_op",
):
    with suppress(ImportError):  # another version may lack these private modules; then each child imports its own
        import_module(late_import)

# Ctrl-C in a terminal reaches every process of the group, but only the worker decides whether a job ends. A fork server
# gives its children the handler that it had when it started. Set in the child, it would come a moment too late.
signal.signal(signal.SIGINT, signal.SIG_IGN)

# A child's garbage collector would otherwise visit a million objects of TensorFlow's modules, and by touching them copy
# the memory that it shares with this process.
gc.collect()
gc.freeze()
