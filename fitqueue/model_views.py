"""What the API answers about a model that Keras has built for the check."""

from pydantic import Field

from fitqueue.view import View


class LayerView(View):
    """One line of `model.summary()`. A model that is used as a layer of another one is a single line."""

    name: str
    class_name: str
    output_shapes: list[list[int | None]] = Field(description="the shape of each output, the batch axis first")
    dtype: str | None = Field(description="the type that it computes with")
    parameters: int
    trainable: bool
    inputs: list[str] = Field(description="names of the layers whose outputs are its inputs")


class MemoryEstimate(View):
    """An estimate in bytes of what training takes at most beyond an idle worker, computed from shapes."""

    weights: int
    gradients: int
    optimizer: int = Field(description="the optimizer's variables, and those of metrics")
    activations: int = Field(
        description="what the layers compute for one batch and the backward pass needs, their outputs among it"
    )
    constants: int = Field(default=0, description="what layers hold beside their weights, such as tables")
    data: int = Field(default=0, description="the arrays as they are stored and prepared, and Keras's copies of them")
    checkpoints: int = Field(default=0, description="copies of the weights and of the optimizer that are being saved")
    process: int = Field(default=0, description="TensorFlow's own")
    total: int

    def on_host(self, *, has_gpus: bool) -> int:
        """Return what is in the memory of the machine: with GPUs, the training itself is in theirs."""
        of_model = self.weights + self.gradients + self.optimizer + self.activations + self.constants
        return self.total - of_model if has_gpus else self.total


class ModelSummary(View):
    """The model as Keras built it for the check, without allocating weights."""

    SHOWN = ("parameters", "trainable_parameters")

    layers: list[LayerView]
    parameters: int
    trainable_parameters: int
    memory: MemoryEstimate
