"""Random models from the catalogue: none that Keras builds is refused, none that Keras refuses is taken.

A layer's arguments are drawn from what the catalogue says of them, so most layers are sound in themselves; whether
they fit onto each other is left to chance. The oracle are the same layers made by their constructors in plain Keras.
"""

from typing import Any

import keras
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from workers.keras_tools.build import ModelBuildError, build_model

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.errors import InvalidSpec
from fitqueue.spec import JobSpec, parse_job
from fitqueue.spec.keras_objects import catalogue

Json = dict[str, Any]

LAYERS = catalogue.kind("layers").classes
WRAPPERS = ("Bidirectional", "TimeDistributed", "SpectralNormalization")
HOLDING_OTHERS = {*WRAPPERS, "RNN", "StackedRNNCells", "Pipeline", "RandomColorJitter"}
WITH_TEXT = {"EinsumDense"}
"""Its equation cannot be drawn."""

ALONE = sorted(set(LAYERS) - HOLDING_OTHERS - WITH_TEXT - {"InputLayer"})
USUAL = [
    "Activation", "AveragePooling2D", "BatchNormalization", "Conv1D", "Conv2D", "Dense", "Dropout", "Embedding",
    "Flatten", "GlobalAveragePooling1D", "GlobalMaxPooling2D", "GRU", "LayerNormalization", "LSTM", "MaxPooling1D",
    "MaxPooling2D", "Permute", "RepeatVector", "Reshape", "SimpleRNN", "UpSampling2D", "ZeroPadding2D",
]  # fmt: skip
INITIALIZERS = catalogue.kind("initializers").classes
NOT_DRAWN = {"name", "dtype", "seed", "data_format", "unroll"}
"""Names and types are tested elsewhere; channels_first does not run on CPUs; unrolling has a limit of ours."""


def values(schema: Any) -> st.SearchStrategy[Any]:
    """Small values of an argument, as its schema has them."""
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
            return st.sampled_from([each for each in (0.0, 0.1, 0.5, 1.0, 2.0, -1.0) if _within(each, schema)] or [0.5])
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array" if isinstance(schema.get("items"), dict):
            low = schema.get("minItems", 1)
            return st.lists(values(schema["items"]), min_size=low, max_size=schema.get("maxItems", low + 2))
    return st.nothing()


SCALING = ("Constant", "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling")
ARGUMENTS = {"value", "gain", "mean", "stddev", "minval", "maxval", "scale", "mode", "distribution"}


def _within(number: float, schema: Any) -> bool:
    above = number >= schema.get("minimum", number) and number > schema.get("exclusiveMinimum", number - 1)
    return above and number <= schema.get("maximum", number) and number < schema.get("exclusiveMaximum", number + 1)


@st.composite
def initializers(draw: st.DrawFn) -> Json:
    """An initializer as an object, its arguments drawn as a layer's are."""
    entry = INITIALIZERS[draw(st.sampled_from(SCALING))]
    config = {name: draw(values(schema)) for name, schema in entry.properties.items() if name in ARGUMENTS}
    return {"class_name": entry.name, "config": config}


@st.composite
def layers(draw: st.DrawFn, class_names: list[str]) -> Json:
    entry = LAYERS[draw(st.sampled_from(class_names))]
    config = {}
    for name, schema in entry.properties.items():
        strategy = values(schema)
        needed = name in entry.required
        if needed or (name not in NOT_DRAWN and not strategy.is_empty and draw(st.integers(0, 5)) == 0):
            config[name] = draw(strategy)
    return {"class_name": entry.name, "config": config}


@st.composite
def wrapped(draw: st.DrawFn) -> Json:
    return {"class_name": draw(st.sampled_from(WRAPPERS)), "config": {"layer": draw(layers(USUAL))}}


SHAPES = st.one_of(st.lists(st.integers(1, 9), min_size=rank, max_size=rank) for rank in (1, 2, 3, 4))
MODELS = st.lists(st.one_of(layers(USUAL), layers(USUAL), layers(ALONE), wrapped()), min_size=1, max_size=4)


def taken(shape: list[int], written: list[Json]) -> str | None:
    """Why the service refuses the model; None where it takes it."""
    arrays = {"x": ArrayInfo((8, *shape), "float32"), "y": ArrayInfo((8, 1), "float32")}
    model = {
        "class_name": "Sequential",
        "config": {"layers": [{"class_name": "InputLayer", "config": {"batch_shape": [None, *shape]}}, *written]},
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


def made(layer: Json, sequence: type) -> Any:
    config = {key: sequence(value) if isinstance(value, list) else value for key, value in layer["config"].items()}
    if isinstance(config.get("layer"), dict):
        config["layer"] = made(config["layer"], sequence)
    return getattr(keras.layers, layer["class_name"])(**config)


def refused_by_keras(shape: list[int], written: list[Json]) -> str | None:
    """Why Keras does not build the model; None where it does, be it with tuples or with lists for JSON's arrays."""
    reasons = []
    for sequence in (tuple, list):
        try:
            keras.Sequential([keras.Input(shape), *(made(layer, sequence) for layer in written)])
        except Exception as error:
            reasons.append(f"{type(error).__name__}: {error}")
        else:
            return None
    return " / ".join(reasons)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(SHAPES, MODELS)
def test_the_service_and_keras_agree(shape: list[int], written: list[Json]) -> None:
    theirs, ours = refused_by_keras(shape, written), taken(shape, written)
    event("refused" if theirs else "built")
    assert (ours is None) == (theirs is None), f"keras: {theirs}\nours: {ours}"


@pytest.mark.parametrize("class_name", ALONE)
def test_each_layer_alone(class_name: str) -> None:
    """The same with one layer, so that each one of the catalogue is met with several arguments and shapes."""

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(SHAPES, layers([class_name]))
    def agree(shape: list[int], layer: Json) -> None:
        theirs, ours = refused_by_keras(shape, [layer]), taken(shape, [layer])
        assert (ours is None) == (theirs is None), f"keras: {theirs}\nours: {ours}"

    agree()
