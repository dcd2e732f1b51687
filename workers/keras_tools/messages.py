"""Messages of Keras and TensorFlow without what means nothing to whoever wrote the job."""

import re
from typing import Final

# What TensorFlow's graphs put into a message: definitions of operations, references to them, and their names.
_GRAPH_WORDS: Final = re.compile(
    r"""
      \s*(?:\bfor\ )?'\{\{(?:function_)?node\ [^}]*\}\}\ =\ [^']*'
    | \s*\[\[\{\{[^\]]*\]\]
    | \n\s*\[\[[^\]]*\]\]
    | \s*\[Op:[^\]]*\](?:\ name:[^\n]*)?
    | '?\{\{(?:function_)?node\ [^}]*\}\}'?:?\s*
    """,
    re.VERBOSE,
)

# What `tf.gather` says of an index.
_INDEX: Final = re.compile(r"\bindices(?:\[[\d,]*\])? = (-?\d+) is not in \[(\d+), (\d+)\)")


def without_graph_words(message: str) -> str:
    """Return a message without the nodes and operations of TensorFlow's graphs, and without its word for an index."""
    return _INDEX.sub(_describe_index, _GRAPH_WORDS.sub("", message)).strip()


def _describe_index(match: re.Match[str]) -> str:
    value, low, high = (int(number) for number in match.groups())
    return (
        f"a layer that looks numbers up, such as an Embedding, got {value}, and takes {low} to {high - 1}: "
        "its input_dim must be larger than the largest number"
    )
