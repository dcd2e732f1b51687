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


def without_graph_words(message: str) -> str:
    """Return a message without the nodes and operations of TensorFlow's graphs."""
    return _GRAPH_WORDS.sub("", message).strip()
