"""How a job trains: `compile`, `fit`, `resources`."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from fitqueue.spec.strict import EACH, ONE, ONE_OR_EACH, Strict

MAX_EPOCHS: Final = 1_000_000
MAX_OBJECTS: Final = 64
"""Metrics of a job, and callbacks."""


class KerasObject(Strict):
    """An object of Keras in its canonical form: a class of the catalogue and the arguments it is made with."""

    class_name: str
    config: dict[str, Any] = Field(default_factory=dict)


Policy = Literal["float16", "float32", "float64", "bfloat16", "mixed_float16", "mixed_bfloat16"]


Losses = Annotated[
    Annotated[str | KerasObject, ONE] | Annotated[dict[str, str | KerasObject], Field(max_length=MAX_OBJECTS), EACH],
    ONE_OR_EACH,
]
MetricList = Annotated[list[str | KerasObject], Field(max_length=MAX_OBJECTS)]
Metrics = Annotated[
    Annotated[MetricList, ONE] | Annotated[dict[str, MetricList], Field(max_length=MAX_OBJECTS), EACH], ONE_OR_EACH
]
Factors = Annotated[
    Annotated[float, ONE] | Annotated[dict[str, float], Field(max_length=MAX_OBJECTS), EACH], ONE_OR_EACH
]


class CompileSpec(Strict):
    """What `model.compile` takes. A loss or a metric is an object, or a name that Keras knows.

    A model of several outputs takes losses and metrics by the names of its outputs.
    """

    optimizer: KerasObject
    loss: Losses
    metrics: Metrics = Field(default_factory=list)
    weighted_metrics: Metrics = Field(
        default_factory=list, description="metrics in which samples count by their weight"
    )
    loss_weights: Factors | None = Field(default=None, description="what the loss of each output is multiplied by")
    jit_compile: bool | Literal["auto"] = Field(default="auto", description="compile the steps by XLA")
    steps_per_execution: int = Field(
        default=1, ge=1, le=10_000, description="steps that run before callbacks are called; it changes no number"
    )
    dtype_policy: Policy = Field(default="float32", description="what the layers compute with that name none")

    @property
    def hints(self) -> list[str]:
        return hints_of(self.steps_per_execution, self.jit_compile)


def hints_of(steps_per_execution: int, jit_compile: bool | str) -> list[str]:
    """The arguments of `compile` that ask for speed, which Keras takes on one device only."""
    asked = {"steps_per_execution": steps_per_execution > 1, "jit_compile": jit_compile is True}
    return [name for name, is_asked in asked.items() if is_asked]


ClassIndex = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,6})$")]
"""The label of a class; the keys of JSON are strings."""

EpochNumber = Annotated[int, Field(ge=1, le=1_000_000)]


class FitSpec(Strict):
    """What `model.fit` takes. `batch_size` is the global batch, however many devices share it."""

    epochs: int = Field(default=1, ge=1, le=MAX_EPOCHS)
    batch_size: int = Field(default=32, ge=1, le=2**20)
    shuffle: bool = True
    class_weight: Annotated[dict[ClassIndex, float], Field(min_length=1, max_length=10_000)] | None = Field(
        default=None, description="how much the samples of each class count"
    )
    steps_per_epoch: int | None = Field(
        default=None, ge=1, le=2**31, description="batches of an epoch; the next epoch goes on where it ended"
    )
    validation_steps: int | None = Field(default=None, ge=1, le=2**31, description="batches of a validation; null: all")
    validation_batch_size: int | None = Field(default=None, ge=1, le=2**20, description="null: as batch_size")
    validation_freq: EpochNumber | Annotated[list[EpochNumber], Field(min_length=1, max_length=100_000)] = Field(
        default=1, description="validate each n-th epoch, or after the epochs of a list (counted from 1)"
    )
    validation_split: float = Field(default=0.0, ge=0, lt=1, description="the last share of the data, held back")
    verbose: Literal["auto", 0, 1, 2] = Field(default=2, description="what is printed into the job's log")

    @property
    def validates(self) -> bool:
        """Whether one of the epochs ends with a validation, given data for it."""
        return (
            self.validation_freq if isinstance(self.validation_freq, int) else min(self.validation_freq)
        ) <= self.epochs


class InitialWeights(Strict):
    """Where the weights come from that training begins with, in place of fresh ones."""

    job: str = Field(max_length=64, description="id of a job of the same model; its best weights are taken")


class Resources(Strict):
    gpus: int = Field(default=0, ge=0, le=64)
    pool: str = Field(default="default", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    strategy: Literal["auto", "mirrored"] = Field(
        default="auto", description="auto: MirroredStrategy over several devices, none over one"
    )
