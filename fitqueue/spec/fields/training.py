"""The settings of training: `compile`, `fit`, `resources` and `initial_weights`."""

import math
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from fitqueue.spec.fields.class_weight import ClassWeight
from fitqueue.spec.strict import BY_NAME, SINGLE, SINGLE_OR_BY_NAME, Pattern, Strict
from fitqueue.weights import LAST_WITH_OPTIMIZER

MAX_EPOCHS: Final = 1_000_000
MAX_OBJECTS: Final = 64
"""How many metrics a job may have, and how many callbacks."""


class KerasObject(Strict):
    """A Keras object in canonical form: a class of the catalogue, and the arguments of its constructor."""

    class_name: str
    config: dict[str, Any] = Field(default_factory=dict)


DTypePolicy = Literal["float16", "float32", "float64", "bfloat16", "mixed_float16", "mixed_bfloat16"]


Losses = Annotated[
    Annotated[str | KerasObject, SINGLE]
    | Annotated[dict[str, str | KerasObject | None], Field(max_length=MAX_OBJECTS), BY_NAME],
    SINGLE_OR_BY_NAME,
]
"""One loss, or a loss for each output by its name; null for an output that is not trained."""

MetricList = Annotated[list[str | KerasObject], Field(max_length=MAX_OBJECTS)]
Metrics = Annotated[
    Annotated[MetricList, SINGLE] | Annotated[dict[str, MetricList], Field(max_length=MAX_OBJECTS), BY_NAME],
    SINGLE_OR_BY_NAME,
]
LossWeights = Annotated[
    Annotated[float, SINGLE] | Annotated[dict[str, float], Field(max_length=MAX_OBJECTS), BY_NAME], SINGLE_OR_BY_NAME
]


class CompileSpec(Strict):
    """The arguments of `model.compile`. A loss or metric is an object, or a name that Keras knows.

    A model with several outputs may have losses and metrics by the names of its outputs.
    """

    optimizer: KerasObject = Field(description="an optimizer, or the name of one")
    loss: Losses = Field(description="a loss or its name; with several outputs, one for each of them")
    metrics: Metrics = Field(default_factory=list, description="what is computed and logged besides the loss")
    weighted_metrics: Metrics = Field(
        default_factory=list, description="metrics that count each sample by its sample weight"
    )
    loss_weights: LossWeights | None = Field(default=None, description="the factor of each output's loss")
    jit_compile: bool | Literal["auto"] = Field(default="auto", description="compile the training steps with XLA")
    steps_per_execution: int = Field(
        default=1, ge=1, le=10_000, description="steps to run between calls of the callbacks; does not change results"
    )
    dtype_policy: DTypePolicy = Field(default="float32", description="the dtype policy of layers that do not name one")

    @property
    def single_device_options(self) -> list[str]:
        """The arguments in use that Keras supports on one device only."""
        return single_device_options(self.steps_per_execution, self.jit_compile)


def single_device_options(steps_per_execution: int, jit_compile: bool | str) -> list[str]:
    """Return the arguments of `compile` in use that speed training up and that Keras supports on one device only."""
    used = {"steps_per_execution": steps_per_execution > 1, "jit_compile": jit_compile is True}
    return [name for name, is_used in used.items() if is_used]


EpochNumber = Annotated[int, Field(ge=1, le=1_000_000)]
_EPOCH_LIST: Final = Tag("[list]")
Frequency = Annotated[
    Annotated[EpochNumber, SINGLE] | Annotated[list[EpochNumber], Field(min_length=1, max_length=100_000), _EPOCH_LIST],
    Discriminator(lambda value: _EPOCH_LIST.tag if isinstance(value, list) else SINGLE.tag),
]
"""Every n-th epoch, or the epochs in a list."""


class FitSpec(Strict):
    """The arguments of `model.fit`. `batch_size` is the global batch size, however many devices share it."""

    epochs: int = Field(default=1, ge=1, le=MAX_EPOCHS, description="how often to train on all of the data")
    batch_size: int = Field(default=32, ge=1, le=2**20, description="samples in a step, on all devices together")
    shuffle: bool = Field(default=True, description="shuffle the samples before each epoch")
    class_weight: ClassWeight | None = Field(
        default=None, description='how much the samples of each class count, "balanced", or either by output'
    )
    steps_per_epoch: int | None = Field(
        default=None,
        ge=1,
        le=2**31,
        description="batches per epoch; the next epoch continues in the data where this one ended",
    )
    validation_steps: int | None = Field(
        default=None, ge=1, le=2**31, description="batches per validation; null: all of them"
    )
    validation_batch_size: int | None = Field(default=None, ge=1, le=2**20, description="null: the same as batch_size")
    validation_freq: Frequency = Field(
        default=1, description="validate after every n-th epoch, or after the epochs in a list (counted from 1)"
    )
    validation_split: float = Field(
        default=0.0, ge=0, lt=1, description="the fraction of the data, at its end, to validate on"
    )
    verbose: Literal["auto", 0, 1, 2] = Field(default=2, description="how much Keras prints to the job's log")

    def training_samples(self, samples: int) -> int:
        """Return how many samples are left to train on after Keras has split off `validation_split` of them."""
        return math.floor(samples * (1 - self.validation_split))

    def batches(self, training_samples: int) -> int:
        """Return how many batches the samples to train on make."""
        return math.ceil(training_samples / self.batch_size)

    @property
    def validates(self) -> bool:
        """Whether an epoch ends with a validation if the job has validation data."""
        frequency = self.validation_freq
        first_epoch = frequency if isinstance(frequency, int) else min(frequency)
        return first_epoch <= self.epochs


CheckpointName = Annotated[
    str, Field(min_length=1, max_length=255), Pattern(r"[^\x00-\x1f\x7f]*", "a name of a checkpoint")
]


class InitialWeights(Strict):
    """The weights that training starts from, instead of newly initialized ones. The options are those of Keras."""

    job: str | None = Field(default=None, max_length=64, description="the id of a job whose weights are used")
    checkpoint: CheckpointName | None = Field(
        default=None, description="the name of a checkpoint of that job; default: `best`"
    )
    dataset: str | None = Field(
        default=None, max_length=128, description="the id or name of weights that were uploaded as a file"
    )
    by_name: bool = Field(default=False, description="only into the layers whose names the weights have, too")
    skip_mismatch: bool = Field(default=False, description="not into layers with weights of other shapes")
    optimizer: bool = Field(default=False, description="the variables of the optimizer, too")
    states: bool = Field(
        default=False, description="the states of random generators and of stateful recurrent layers, too"
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> "InitialWeights":
        if (self.job is None) == (self.dataset is None):
            raise ValueError("The weights come either from a `job` or from a `dataset`: give one of them.")
        return self

    @model_validator(mode="after")
    def _has_no_checkpoint_of_a_dataset(self) -> "InitialWeights":
        if self.checkpoint is not None and self.dataset is not None:
            raise ValueError("A `checkpoint` is one of a `job`. A `dataset` has none.")
        return self

    @model_validator(mode="after")
    def _fills_the_same_model(self) -> "InitialWeights":
        if self.needs_same_model and (self.by_name or self.skip_mismatch):
            raise ValueError("`optimizer` and `states` need the same model, without `by_name` and `skip_mismatch`.")
        return self

    @property
    def needs_same_model(self) -> bool:
        """Whether more than weights is filled."""
        return self.optimizer or self.states

    @property
    def stored_checkpoint(self) -> str:
        """The name of the checkpoint that has all that is filled."""
        name = self.checkpoint or "best"
        return LAST_WITH_OPTIMIZER if name == "last" and self.optimizer else name

    @property
    def source(self) -> str:
        """The field that says where the weights come from."""
        return "job" if self.job is not None else "dataset"


PoolName = Annotated[
    str,
    Pattern(
        "[a-z0-9][a-z0-9_-]{0,62}",
        "1 to 63 lower-case letters, digits, dashes and underscores, beginning with a letter or digit",
    ),
]


class Resources(Strict):
    """What a job needs of a worker."""

    gpus: int = Field(default=0, ge=0, le=64, description="how many GPUs to train on; 0: on the CPU")
    pool: PoolName = Field(default="default", description="the pool whose workers may train the job")
    strategy: Literal["auto", "mirrored"] = Field(
        default="auto", description="auto: MirroredStrategy on several devices, Keras's default on one"
    )
