"""What the nursery imports, once, so that no child has to. Nothing here may make a tensor or look for a device."""

import gc
import signal
from contextlib import suppress
from importlib import import_module

# What Keras and TensorFlow import at the first `fit`, and what reads the first .npz: each job would pay for it again.
for late in (
    "encodings.cp437",
    "numpy.random",
    "tensorflow.python.data.ops.concatenate_op",
    "tensorflow.python.data.ops.flat_map_op",
    "tensorflow.python.data.ops.from_tensors_op",
    "tensorflow.python.data.ops.range_op",
    "tensorflow.python.data.ops.zip_op",
):
    with suppress(ImportError):  # private names, which another version may not have; then a child imports its own
        import_module(late)

# The forkserver gives its children the handler that it found at its own start. Ctrl-C in a terminal reaches every
# process of the group; whether a job ends is for the worker to say. Set in the child, there would be a moment without.
signal.signal(signal.SIGINT, signal.SIG_IGN)

# A child's collector would else go through a million objects of TensorFlow's modules, and by touching them copy the
# memory that it shares with this process.
gc.collect()
gc.freeze()
