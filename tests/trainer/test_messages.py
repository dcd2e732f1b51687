"""Messages of TensorFlow without the words of its graphs."""

from collections.abc import Callable

import pytest
import tensorflow as tf

from workers.keras_tools.messages import without_graph_words
from workers.trainer.outcome import error_message


def _message(function: Callable[[], object]) -> str:
    with pytest.raises((ValueError, tf.errors.OpError)) as raised:
        function()
    return str(raised.value)


def _in_a_graph() -> object:
    with tf.Graph().as_default(), tf.name_scope("compile_loss/mse"):
        left, right = (tf.compat.v1.placeholder("float32", [None, width]) for width in (3, 2))
        return tf.raw_ops.Sub(x=left, y=right)


def _gather() -> object:
    return tf.gather(tf.zeros([5, 2]), [[1], [7]])


def _eager() -> object:
    return tf.raw_ops.Sub(x=tf.zeros([8, 3]), y=tf.zeros([8, 2]))


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (_in_a_graph, "Dimensions must be equal, but are 3 and 2 with input shapes: [?,3], [?,2]."),
        (_eager, "Incompatible shapes: [8,3] vs. [8,2]"),
        (
            _gather,
            "a layer that looks numbers up, such as an Embedding, got 7, and takes 0 to 4: its input_dim must be "
            "larger than the largest number",
        ),
    ],
)
def test_messages_of_tensorflow(fail: Callable[[], object], message: str) -> None:
    original = _message(fail)
    assert "{{" in original
    assert without_graph_words(original).rstrip() == message


@pytest.mark.parametrize(
    ("original", "message"),
    [
        ("Incompatible shapes: [2] vs. [3]\n\t [[{{node sub}}]]\n\t [[a/_12]] [Op:__inference_1]",
         "Incompatible shapes: [2] vs. [3]"),
        ("The values [[1, 2], [3, 4]] do not fit.", "The values [[1, 2], [3, 4]] do not fit."),
        ("{{function_node __wrapped__Sub_device_/job:localhost}} no [Op:Sub] name: ", "no"),
    ],
)  # fmt: skip
def test_messages_as_they_were_seen(original: str, message: str) -> None:
    assert without_graph_words(original) == message


def test_a_graph_error_without_a_stack() -> None:
    error = ValueError(
        "Graph execution error:\n\nDetected at node compile_loss/mse/sub defined at (most recent call last):\n"
        "<stack traces unavailable>\nIncompatible shapes: [8,3] vs. [8,2]\n"
        "\t [[{{node compile_loss/mse/sub}}]] [Op:__inference_multi_step_on_iterator_1]\n"
    )
    assert error_message(error) == "Incompatible shapes: [8,3] vs. [8,2]"
