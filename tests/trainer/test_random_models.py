"""Random models from the catalogue: the service refuses a model if and only if Keras refuses it.

The arguments of a layer are drawn from their schemas in the catalogue, so most layers are valid by themselves. Whether
they are compatible with each other is left to chance. They are compared with the same layers in plain Keras, created
by their constructors.
"""

from typing import Any

import keras
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.errors import InvalidSpec
from fitqueue.spec import JobSpec, parse_job
from fitqueue.spec.keras_objects import catalogue
from workers.keras_tools.errors import ModelBuildError
from workers.keras_tools.models import build_model

Json = dict[str, Any]

LAYERS = catalogue.kind("layers").classes
WRAPPERS = ("Bidirectional", "TimeDistributed", "SpectralNormalization")
CONTAINING_LAYERS = {*WRAPPERS, "RNN", "StackedRNNCells", "Pipeline", "RandomColorJitter"}
WITH_TEXT = {"EinsumDense"}
"""Layers that cannot be drawn, because an argument is an equation."""

SINGLE = sorted(set(LAYERS) - CONTAINING_LAYERS - WITH_TEXT - {"InputLayer"})
COMMON = [
    "Activation", "AveragePooling2D", "BatchNormalization", "Conv1D", "Conv2D", "Dense", "Dropout", "Embedding",
    "Flatten", "GlobalAveragePooling1D", "GlobalMaxPooling2D", "GRU", "LayerNormalization", "LSTM", "MaxPooling1D",
    "MaxPooling2D", "Permute", "RepeatVector", "Reshape", "SimpleRNN", "UpSampling2D", "ZeroPadding2D",
]  # fmt: skip
INITIALIZERS = catalogue.kind("initializers").classes
NOT_DRAWN = {"adapt", "name", "dtype", "seed", "data_format", "unroll"}
"""`adapt` is not Keras's, names and dtypes are tested elsewhere, channels_first does not run on CPUs, and unrolling has
a limit of our own."""


def values(schema: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for small values of an argument with this schema."""
    if "anyOf" in schema:
        return st.one_of([values(option) for option in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "keras" in schema:
        kind = catalogue.kind(schema["keras"])
        names = st.sampled_from(sorted(kind.names)) if kind.names else st.nothing()
        return st.one_of(names, initializers()) if schema["keras"] == "initializers" else names
    match schema.get("type"):
        case "integer":
            low = int(schema.get("minimum", -2))
            return st.integers(low, max(low, min(low + 5, int(schema.get("maximum", 9)))))
        case "number":
            return st.sampled_from([number for number in NUMBERS if _is_allowed(number, schema)] or [0.5])
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array" if isinstance(schema.get("items"), dict):
            low = schema.get("minItems", 1)
            return st.lists(values(schema["items"]), min_size=low, max_size=schema.get("maxItems", low + 2))
    return st.nothing()


NUMBERS = (0.0, 0.1, 0.5, 1.0, 2.0, -1.0)
SCALING = ("Constant", "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling")
ARGUMENTS = {"value", "gain", "mean", "stddev", "minval", "maxval", "scale", "mode", "distribution"}


def _is_allowed(number: float, schema: Any) -> bool:
    above = number >= schema.get("minimum", number) and number > schema.get("exclusiveMinimum", number - 1)
    return above and number <= schema.get("maximum", number) and number < schema.get("exclusiveMaximum", number + 1)


@st.composite
def initializers(draw: st.DrawFn) -> Json:
    """Draw an initializer with arguments."""
    entry = INITIALIZERS[draw(st.sampled_from(SCALING))]
    config = {name: draw(values(schema)) for name, schema in entry.properties.items() if name in ARGUMENTS}
    return {"class_name": entry.name, "config": config}


@st.composite
def layers(draw: st.DrawFn, class_names: list[str]) -> Json:
    entry = LAYERS[draw(st.sampled_from(class_names))]
    config = {}
    for name, schema in entry.properties.items():
        strategy = values(schema)
        is_required = name in entry.required
        if is_required or (name not in NOT_DRAWN and not strategy.is_empty and draw(st.integers(0, 5)) == 0):
            config[name] = draw(strategy)
    return {"class_name": entry.name, "config": config}


@st.composite
def wrapped(draw: st.DrawFn) -> Json:
    return {"class_name": draw(st.sampled_from(WRAPPERS)), "config": {"layer": draw(layers(COMMON))}}


SHAPES = st.one_of(st.lists(st.integers(1, 9), min_size=rank, max_size=rank) for rank in (1, 2, 3, 4))
MODELS = st.lists(st.one_of(layers(COMMON), layers(COMMON), layers(SINGLE), wrapped()), min_size=1, max_size=4)


def reason_of_service(shape: list[int], layers: list[Json]) -> str | None:
    """Return why the service refuses the model; None if it accepts it."""
    arrays = {"x": ArrayInfo((8, *shape), "float32"), "y": ArrayInfo((8, 1), "float32")}
    model = {
        "class_name": "Sequential",
        "config": {"layers": [{"class_name": "InputLayer", "config": {"batch_shape": [None, *shape]}}, *layers]},
    }
    raw = {
        "model": model,
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "data": {"dataset": "mine", "x": "x", "y": "y"},
        "seed": 1,
    }
    try:
        spec = parse_job(raw, lambda name: DatasetInfo(name, arrays)).spec
        build_model(JobSpec.model_validate_json(spec.model_dump_json()).model)
    except InvalidSpec as error:
        return str([fault for fault in error.errors if fault.pointer.startswith("/model")] or None)
    except ModelBuildError as error:
        return f"{error.pointer}: {error.message}"
    return None


def create_layer(layer: Json, sequence: type) -> Any:
    """Create a layer with Keras; JSON's arrays become lists or tuples."""
    config = {key: sequence(value) if isinstance(value, list) else value for key, value in layer["config"].items()}
    if config.get("bin_boundaries") is not None:
        config.pop("num_bins", None)  # an adapted Discretization has both in its config; the service reads that, too
    if isinstance(config.get("layer"), dict):
        config["layer"] = create_layer(config["layer"], sequence)
    return getattr(keras.layers, layer["class_name"])(**config)


def reason_of_keras(shape: list[int], layers: list[Json]) -> str | None:
    """Return why Keras refuses the model; None if it builds it, with tuples or with lists for JSON's arrays."""
    reasons = []
    for sequence in (tuple, list):
        try:
            keras.Sequential([keras.Input(shape), *(create_layer(layer, sequence) for layer in layers)])
        except Exception as error:
            reasons.append(f"{type(error).__name__}: {error}")
        else:
            return None
    return " / ".join(reasons)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(SHAPES, MODELS)
def test_the_service_and_keras_agree(shape: list[int], layers: list[Json]) -> None:
    keras_reason, service_reason = reason_of_keras(shape, layers), reason_of_service(shape, layers)
    event("refused" if keras_reason else "built")
    assert (service_reason is None) == (keras_reason is None), f"Keras: {keras_reason}\nservice: {service_reason}"


@pytest.mark.parametrize("class_name", SINGLE)
def test_the_service_and_keras_agree_on_each_layer(class_name: str) -> None:
    """Each layer of the catalogue is tried with several arguments and shapes."""

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(SHAPES, layers([class_name]))
    def agree(shape: list[int], layer: Json) -> None:
        keras_reason, service_reason = reason_of_keras(shape, [layer]), reason_of_service(shape, [layer])
        assert (service_reason is None) == (keras_reason is None), f"Keras: {keras_reason}\nservice: {service_reason}"

    agree()
