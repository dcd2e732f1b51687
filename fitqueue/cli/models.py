"""A model as a table, similar to Keras's `model.summary()`."""

from collections.abc import Sequence

from fitqueue.cli.output import print_table, remark
from fitqueue.cli.tables import Column
from fitqueue.cli.text import size
from fitqueue.views import LayerView, ModelSummary


def print_model(model: ModelSummary) -> None:
    """Print the layers to stdout; parameters and memory go to stderr."""
    columns: list[Column | str] = [
        "LAYER",
        Column("CLASS", rank=3),
        Column("OUTPUT", wraps=True, rank=1),
        Column("PARAMETERS", rank=2),
        Column("INPUTS", wraps=True),
    ]
    print_table(columns, map(_row, model.layers))
    frozen = model.parameters - model.trainable_parameters
    remark(f"{model.parameters:,} parameters" + (f", {frozen:,} of them frozen" if frozen else ""))
    memory = model.memory
    remark(
        f"About {size(memory.total)} to train: weights {size(memory.weights)}, gradients {size(memory.gradients)}, "
        f"optimizer {size(memory.optimizer)}, outputs of a batch {size(memory.activations)}, "
        f"constants {size(memory.constants)}, data {size(memory.data)}, checkpoints {size(memory.checkpoints)}, "
        f"TensorFlow {size(memory.process)}"
    )


def _row(layer: LayerView) -> list[str]:
    shapes = ", ".join(_shape(shape) for shape in layer.output_shapes)
    return [layer.name, layer.class_name, shapes, f"{layer.parameters:,}", ", ".join(layer.inputs)]


def _shape(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join("any" if length is None else str(length) for length in shape) + ")"
