"""Build what a checked job compiles its model with: the optimizer, losses and metrics."""

from typing import Any

import keras

from fitqueue.json_pointer import pointer_to
from fitqueue.spec import CompileSpec, KerasObject
from fitqueue.spec.fields.training import Losses, Metrics
from fitqueue.spec.keras_objects.naming import snake_case
from workers.keras_tools.errors import raise_build_error
from workers.keras_tools.objects import make_object


def build_optimizer(optimizer: KerasObject) -> keras.optimizers.Optimizer:
    """Return the optimizer, with the name that it would have in a fresh process.

    Raises:
        ModelBuildError: Keras cannot create it.
    """
    name = optimizer.config.get("name") or snake_case(optimizer.class_name)
    named = optimizer.model_copy(update={"config": {**optimizer.config, "name": name}})
    return make_object("optimizers", named, "/compile/optimizer")


def build_loss(loss: Losses) -> Any:
    """Return the argument `loss` of `compile`: a loss or the name of one, or a dict of them by output.

    It is None for an output that is not trained.

    Raises:
        ModelBuildError: Keras cannot create one.
    """
    pointer = "/compile/loss"
    if isinstance(loss, dict):
        return {
            name: None if output_loss is None else make_object("losses", output_loss, pointer + pointer_to(name))
            for name, output_loss in loss.items()
        }
    return make_object("losses", loss, pointer)


def build_metrics(metrics: Metrics, pointer: str = "/compile/metrics") -> Any:
    """Return the argument `metrics` of `compile`: a list, or a dict of lists by output.

    Raises:
        ModelBuildError: Keras cannot create one.
    """
    if isinstance(metrics, dict):
        return {name: build_metrics(of_output, pointer + pointer_to(name)) for name, of_output in metrics.items()}
    return [make_object("metrics", metric, f"{pointer}/{i}") for i, metric in enumerate(metrics)]


def compile_model(model: keras.Model, spec: CompileSpec) -> None:
    """Compile the model as the job says.

    Raises:
        ModelBuildError: Keras cannot do it.
    """
    arguments = {
        "optimizer": build_optimizer(spec.optimizer),
        "loss": build_loss(spec.loss),
        "metrics": build_metrics(spec.metrics),
        "weighted_metrics": build_metrics(spec.weighted_metrics, "/compile/weighted_metrics") or None,
    }
    try:
        model.compile(
            **arguments,
            loss_weights=spec.loss_weights,
            jit_compile=spec.jit_compile,
            steps_per_execution=spec.steps_per_execution,
        )
    except Exception as error:
        raise_build_error("/compile", "", error)
