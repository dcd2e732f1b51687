"""Models built from a job against the same models built by hand: Keras is the oracle."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as kl
from workers.keras_tools.build import ModelBuildError, build_model

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.errors import InvalidSpec
from fitqueue.spec import JobSpec, KerasObject, parse_job
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.model import MAX_LAYERS
from fitqueue.spec.keras_objects.objects import check_object
from fitqueue.spec.report import Pointer, Report

Layer = dict[str, Any]


def layer(class_name: str, **config: Any) -> Layer:
    return {"class_name": class_name, "config": config}


def checked(model: Any, shape: tuple[int, ...]) -> JobSpec:
    """The job of this model on samples of this shape, as the service would store it."""
    arrays = {"x": ArrayInfo((8, *shape), "float32"), "y": ArrayInfo((8,), "int64")}
    raw = {
        "model": model,
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "data": {"dataset": "mine", "x": "x", "y": "y"},
        "seed": 1,
    }
    spec = parse_job(raw, lambda name: DatasetInfo(name, arrays)).spec
    return JobSpec.model_validate_json(spec.model_dump_json())  # as it comes back from the database


def sequential(*layers: Layer) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"layers": list(layers)}}


def samples(shape: tuple[int, ...]) -> np.ndarray:
    """Whole numbers from 0 to 9, so that an Embedding takes them, too."""
    return np.random.default_rng(0).integers(0, 10, (8, *shape)).astype("float32")


def assert_same(ours: keras.Model, theirs: keras.Model, shape: tuple[int, ...]) -> None:
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    for mine, yours in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, yours)
    x = samples(shape)
    # Layers for images are random by default, and each model has its own seeds.
    np.testing.assert_array_equal(ours(x, training=False), theirs(x, training=False))


def trained(model: keras.Model, shape: tuple[int, ...]) -> Any:
    keras.utils.set_random_seed(6)  # AugMix draws from Python's generator, too
    return model(samples(shape), training=True)


# One way to use each layer of the catalogue: its arguments, the shape of a sample, and how a script makes it.
SINGLE: dict[str, tuple[dict[str, Any], tuple[int, ...], Callable[[], kl.Layer]]] = {
    "Dense": (
        {"units": 3, "activation": "gelu", "kernel_initializer": {"class_name": "HeNormal", "config": {}},
         "kernel_regularizer": {"class_name": "L1L2", "config": {"l1": 0.1}}, "bias_constraint": "non_neg"},
        (4,),
        lambda: kl.Dense(3, "gelu", kernel_initializer=keras.initializers.HeNormal(),
                         kernel_regularizer=keras.regularizers.L1L2(0.1), bias_constraint="non_neg"),
    ),
    "Embedding": ({"input_dim": 10, "output_dim": 3, "mask_zero": True}, (5,),
                  lambda: kl.Embedding(10, 3, mask_zero=True)),
    "Activation": ({"activation": "swish"}, (4,), lambda: kl.Activation("swish")),
    "ReLU": ({"max_value": 4, "negative_slope": 0.1}, (4,), lambda: kl.ReLU(4, 0.1)),
    "LeakyReLU": ({"negative_slope": 0.2}, (4,), lambda: kl.LeakyReLU(0.2)),
    "ELU": ({"alpha": 0.5}, (4,), lambda: kl.ELU(0.5)),
    "PReLU": ({"shared_axes": [1, 2]}, (6, 6, 2), lambda: kl.PReLU(shared_axes=[1, 2])),
    "Softmax": ({"axis": [1, 2]}, (4, 3), lambda: kl.Softmax([1, 2])),
    "Conv1D": ({"filters": 2, "kernel_size": 3, "padding": "causal"}, (8, 2),
               lambda: kl.Conv1D(2, 3, padding="causal")),
    "Conv2D": (
        {"filters": 4, "kernel_size": [3, 2], "strides": 2, "groups": 2, "padding": "same"},
        (6, 6, 2),
        lambda: kl.Conv2D(4, (3, 2), 2, "same", groups=2),
    ),
    "Conv1DTranspose": ({"filters": 2, "kernel_size": 3, "strides": 2}, (8, 2), lambda: kl.Conv1DTranspose(2, 3, 2)),
    "Conv2DTranspose": (
        {"filters": 2, "kernel_size": [3, 3], "strides": [2, 2], "output_padding": [1, 1]},
        (4, 4, 2),
        lambda: kl.Conv2DTranspose(2, 3, 2, output_padding=1),
    ),
    "DepthwiseConv2D": (
        {"kernel_size": 3, "depth_multiplier": 2}, (6, 6, 2), lambda: kl.DepthwiseConv2D(3, depth_multiplier=2)
    ),
    "SeparableConv1D": ({"filters": 3, "kernel_size": 3}, (8, 2), lambda: kl.SeparableConv1D(3, 3)),
    "SeparableConv2D": ({"filters": 3, "kernel_size": [3, 3]}, (6, 6, 2), lambda: kl.SeparableConv2D(3, 3)),
    "MaxPooling1D": ({"pool_size": 2}, (8, 2), lambda: kl.MaxPooling1D(2)),
    "MaxPooling2D": (
        {"pool_size": [2, 2], "strides": 2, "padding": "same"}, (5, 5, 2), lambda: kl.MaxPooling2D((2, 2), 2, "same")
    ),
    "AveragePooling1D": ({"pool_size": 2, "strides": 1}, (8, 2), lambda: kl.AveragePooling1D(2, 1)),
    "AveragePooling2D": ({"pool_size": 3}, (6, 6, 2), lambda: kl.AveragePooling2D(3)),
    "GlobalMaxPooling1D": ({"keepdims": True}, (8, 2), lambda: kl.GlobalMaxPooling1D(keepdims=True)),
    "GlobalMaxPooling2D": ({}, (6, 6, 2), lambda: kl.GlobalMaxPooling2D()),
    "GlobalAveragePooling1D": ({}, (8, 2), lambda: kl.GlobalAveragePooling1D()),
    "GlobalAveragePooling2D": ({"keepdims": False}, (6, 6, 2), lambda: kl.GlobalAveragePooling2D()),
    "Flatten": ({}, (4, 3), lambda: kl.Flatten()),
    "Reshape": ({"target_shape": [2, -1]}, (4, 3), lambda: kl.Reshape((2, -1))),
    "Permute": ({"dims": [2, 1]}, (4, 3), lambda: kl.Permute((2, 1))),
    "RepeatVector": ({"n": 3}, (4,), lambda: kl.RepeatVector(3)),
    "ZeroPadding1D": ({"padding": [1, 2]}, (4, 3), lambda: kl.ZeroPadding1D((1, 2))),
    "ZeroPadding2D": ({"padding": [[1, 2], [3, 4]]}, (4, 4, 2), lambda: kl.ZeroPadding2D(((1, 2), (3, 4)))),
    "Cropping1D": ({"cropping": [1, 2]}, (8, 3), lambda: kl.Cropping1D((1, 2))),
    "Cropping2D": ({"cropping": [1, 2]}, (6, 6, 2), lambda: kl.Cropping2D((1, 2))),
    "UpSampling1D": ({"size": 3}, (4, 2), lambda: kl.UpSampling1D(3)),
    "UpSampling2D": (
        {"size": [2, 3], "interpolation": "bilinear"}, (4, 4, 2), 
        lambda: kl.UpSampling2D((2, 3), interpolation="bilinear"),
    ),
    "LSTM": (
        {"units": 3, "return_sequences": True, "dropout": 0.1, "recurrent_activation": "hard_sigmoid"},
        (5, 2),
        lambda: kl.LSTM(3, return_sequences=True, dropout=0.1, recurrent_activation="hard_sigmoid"),
    ),
    "GRU": ({"units": 3, "reset_after": False, "go_backwards": True}, (5, 2),
            lambda: kl.GRU(3, reset_after=False, go_backwards=True)),
    "SimpleRNN": ({"units": 3, "unroll": True}, (5, 2), lambda: kl.SimpleRNN(3, unroll=True)),
    "Bidirectional": (
        {"layer": layer("LSTM", units=3), "merge_mode": "sum"}, (5, 2), lambda: kl.Bidirectional(kl.LSTM(3), "sum")
    ),
    "TimeDistributed": ({"layer": layer("Dense", units=3)}, (5, 2), lambda: kl.TimeDistributed(kl.Dense(3))),
    "Masking": ({"mask_value": 3}, (5, 2), lambda: kl.Masking(3)),
    "Dropout": ({"rate": 0.5, "noise_shape": [None, 1], "seed": 3}, (4,), lambda: kl.Dropout(0.5, (None, 1), 3)),
    "SpatialDropout1D": ({"rate": 0.5}, (8, 2), lambda: kl.SpatialDropout1D(0.5)),
    "SpatialDropout2D": ({"rate": 0.5}, (6, 6, 2), lambda: kl.SpatialDropout2D(0.5)),
    "GaussianDropout": ({"rate": 0.5}, (4,), lambda: kl.GaussianDropout(0.5)),
    "GaussianNoise": ({"stddev": 0.5}, (4,), lambda: kl.GaussianNoise(0.5)),
    "BatchNormalization": ({"momentum": 0.9, "scale": False}, (4,),
                           lambda: kl.BatchNormalization(momentum=0.9, scale=False)),
    "LayerNormalization": ({"axis": [1, 2]}, (4, 3), lambda: kl.LayerNormalization(axis=[1, 2])),
    "GroupNormalization": ({"groups": 2}, (4, 4), lambda: kl.GroupNormalization(2)),
    "UnitNormalization": ({}, (4,), lambda: kl.UnitNormalization()),
    "Rescaling": ({"scale": 0.1, "offset": -1}, (4,), lambda: kl.Rescaling(0.1, -1)),
    "Identity": ({}, (4,), lambda: kl.Identity()),
}  # fmt: skip
MERGING: dict[str, tuple[dict[str, Any], Callable[[], kl.Layer]]] = {
    "Add": ({}, lambda: kl.Add()),
    "Subtract": ({}, lambda: kl.Subtract()),
    "Multiply": ({}, lambda: kl.Multiply()),
    "Average": ({}, lambda: kl.Average()),
    "Maximum": ({}, lambda: kl.Maximum()),
    "Minimum": ({}, lambda: kl.Minimum()),
    "Concatenate": ({"axis": 1}, lambda: kl.Concatenate(1)),
    "Dot": ({"axes": 1, "normalize": True}, lambda: kl.Dot(1, normalize=True)),
}


# Layers whose arguments are the same in a script: `{name: {config, shape}}`.
PLAIN: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("layers.json").read_text())
SINGLE |= {
    name: (one["config"], tuple(one["shape"]), lambda name=name, one=one: getattr(kl, name)(**one["config"]))
    for name, one in PLAIN.items()
}


@pytest.mark.parametrize("class_name", SINGLE)
def test_a_layer_is_what_keras_makes(class_name: str) -> None:
    config, shape, by_hand = SINGLE[class_name]
    spec = checked(sequential(layer("Input", shape=list(shape)), layer(class_name, **config)), shape)
    keras.utils.set_random_seed(5)
    ours = build_model(spec.model)
    keras.utils.set_random_seed(5)
    theirs = keras.Sequential([keras.Input(shape), by_hand()])
    assert_same(ours, theirs, shape)
    # In training, what is random draws from the same seeds, too.
    np.testing.assert_array_equal(trained(ours, shape), trained(theirs, shape))
    assert_round_trip(theirs, shape)


@pytest.mark.parametrize("class_name", MERGING)
def test_a_merging_layer_is_what_keras_makes(class_name: str) -> None:
    config, by_hand = MERGING[class_name]
    inputs = keras.Input((4,))
    merged = by_hand()([kl.Dense(3)(inputs), kl.Dense(3)(inputs)])
    theirs = keras.Model(inputs, merged)
    assert_round_trip(theirs, (4,))
    written = next(one for one in json.loads(theirs.to_json())["config"]["layers"] if one["class_name"] == class_name)
    assert {name: written["config"][name] for name in config} == config


def assert_round_trip(model: keras.Model, shape: tuple[int, ...]) -> None:
    """What `to_json` gives, as a string and as its value, builds the same model."""
    for written in (model.to_json(), json.loads(model.to_json())):
        ours = build_model(checked(written, shape).model)
        assert [one.name for one in ours.layers] == [one.name for one in model.layers]
        ours.set_weights(model.get_weights())
        assert_same(ours, model, shape)


# --- Whole models --------------------------------------------------------------------------------------------------


def encoder_decoder() -> keras.Model:
    inputs = keras.Input((5, 2))
    sequence, hidden, cell = kl.LSTM(3, return_sequences=True, return_state=True)(inputs)
    decoded = kl.LSTM(3, return_sequences=True)(sequence, initial_state=[hidden, cell])
    return keras.Model(inputs, kl.TimeDistributed(kl.Dense(2))(decoded))


def shared_layer() -> keras.Model:
    inputs = keras.Input((4,))
    twice = kl.Dense(4, activation="tanh")
    once = twice(inputs)
    return keras.Model(inputs, kl.Add()([once, twice(kl.Dropout(0.5)(once)), inputs]))


def nested() -> keras.Model:
    inner = keras.Sequential([keras.Input((4,)), kl.Dense(3), kl.BatchNormalization()])
    branch = keras.Input((3,))
    functional = keras.Model(branch, kl.Concatenate()([kl.Dense(2)(branch), branch]))
    inputs = keras.Input((4,))
    return keras.Model(inputs, functional(inner(inputs)))


def nested_in_sequential() -> keras.Model:
    return keras.Sequential([keras.Input((5, 2)), encoder_decoder(), keras.Sequential([kl.Dense(2)])])


def masked() -> keras.Model:
    return keras.Sequential([keras.Input((5,)), kl.Embedding(10, 4, mask_zero=True), kl.Bidirectional(kl.GRU(3))])


def attention() -> keras.Model:
    inputs = keras.Input((5, 4))
    many = kl.MultiHeadAttention(2, 3, dropout=0.1)(inputs, inputs, use_causal_mask=True)
    grouped = kl.GroupQueryAttention(3, 4, 2)(inputs, value=inputs)
    both = kl.Attention(use_scale=True)([many, grouped])
    return keras.Model(inputs, kl.AdditiveAttention()([both, inputs, many]))


def cells() -> keras.Model:
    stacked = kl.StackedRNNCells([kl.LSTMCell(3), kl.GRUCell(2)])
    return keras.Sequential(
        [
            keras.Input((5, 2)),
            kl.RNN(stacked, return_sequences=True),
            kl.RNN([kl.SimpleRNNCell(3), kl.GRUCell(2, reset_after=False)], return_sequences=True),
            kl.Bidirectional(kl.RNN(kl.LSTMCell(2))),
            kl.SpectralNormalization(kl.Dense(3), power_iterations=2),
        ]
    )


def pipeline() -> keras.Model:
    steps = kl.Pipeline([kl.Resizing(4, 4), kl.RandomFlip(seed=1)])
    return keras.Sequential([keras.Input((8, 8, 3)), steps, kl.TimeDistributed(kl.TimeDistributed(kl.Dense(2)))])


def crossed() -> keras.Model:
    inputs = keras.Input((1,), dtype="int64")
    return keras.Model(inputs, kl.HashedCrossing(5, output_mode="one_hot")((inputs, inputs)))


def frozen() -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), kl.Dense(3, trainable=False), kl.Dense(2)])
    assert len(model.trainable_weights) == 2
    return model


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (encoder_decoder, (5, 2)),
        (shared_layer, (4,)),
        (nested, (4,)),
        (nested_in_sequential, (5, 2)),
        (masked, (5,)),
        (attention, (5, 4)),
        (cells, (5, 2)),
        (pipeline, (8, 8, 3)),
        (crossed, (1,)),
        (frozen, (4,)),
    ],
)
def test_whole_models_go_there_and_back(make: Callable[[], keras.Model], shape: tuple[int, ...]) -> None:
    model = make()
    assert_round_trip(model, shape)
    ours = build_model(checked(model.to_json(), shape).model)
    assert [w.shape for w in ours.trainable_weights] == [w.shape for w in model.trainable_weights]


def test_every_layer_of_the_catalogue_is_compared() -> None:
    whole = "".join(make().to_json() for make in (attention, cells, pipeline, crossed))
    in_whole = {name for name in catalogue.kind("layers").classes if f'"class_name": "{name}"' in whole}
    assert {*SINGLE, *MERGING, *in_whole} == set(catalogue.kind("layers").classes)


def test_a_compiled_model_goes_there_and_back() -> None:
    model = frozen()
    model.compile("adam", "mse", metrics=["mae"])
    assert_round_trip(model, (4,))


CNN = sequential(
    layer("Conv2D", filters=4, kernel_size=[3, 3], activation="relu", input_shape=[8, 8, 1]),
    layer("MaxPooling2D"),
    layer("Conv2D", filters=4, kernel_size=[3, 3], activation="relu"),
    layer("Flatten"),
    layer("Dropout", rate=0.5),
    layer("Dense", units=10, activation="softmax"),
)


def test_names_are_those_of_a_fresh_process_however_often_it_is_built() -> None:
    spec = checked(CNN, (8, 8, 1))
    builds = [build_model(spec.model) for _ in range(2)]
    keras.backend.clear_session()
    fresh = keras.Sequential(
        [keras.Input((8, 8, 1)), kl.Conv2D(4, 3), kl.MaxPooling2D(), kl.Conv2D(4, 3), kl.Flatten(), kl.Dropout(0.5),
         kl.Dense(10)]
    )  # fmt: skip
    for ours in builds:
        assert ours.name == fresh.name
        assert [one.name for one in ours.layers] == [one.name for one in fresh.layers]


def test_a_given_name_is_not_given_again() -> None:
    spec = checked(sequential(layer("Dense", units=2, name="dense"), layer("Dense", units=2)), (4,))
    assert [one.name for one in build_model(spec.model).layers] == ["dense", "dense_1"]


def test_a_model_without_input_is_what_fit_would_build() -> None:
    spec = checked(sequential(layer("Embedding", input_dim=10, output_dim=3), layer("LSTM", units=2)), (5,))
    keras.utils.set_random_seed(5)
    ours = build_model(spec.model)
    keras.utils.set_random_seed(5)
    theirs = keras.Sequential([kl.Embedding(10, 3), kl.LSTM(2)])
    theirs(samples((5,)))
    assert_same(ours, theirs, (5,))


@pytest.mark.parametrize("config", [{"shape": 12}, {"shape": [12], "batch_size": 8}, {"batch_shape": [None, 12]}])
def test_inputs_of_every_spelling(config: dict[str, Any]) -> None:
    spec = checked(
        sequential(layer("Input", name="numbers", dtype="float32", **config), layer("Dense", units=1)), (12,)
    )
    model = build_model(spec.model)
    assert model.inputs[0].shape[1:] == (12,)
    assert model.inputs[0].name == "numbers"


def test_a_sparse_input_trains_on_plain_arrays() -> None:
    spec = checked(sequential(layer("Input", shape=[12], sparse=True), layer("Dense", units=1)), (12,))
    model = build_model(spec.model)
    model.compile("sgd", "mse")
    assert model.inputs[0].sparse
    model.fit(samples((12,)), np.zeros((8, 1)), verbose=0)


def test_as_many_layers_as_a_job_may_have_are_built() -> None:
    """Keras's own `from_config` takes minutes for them, and Python's recursion limit ends a plain `Sequential`."""
    dense = layer("Dense", units=1)
    assert len(build_model(checked(sequential(*[dense] * MAX_LAYERS), (1,)).model).layers) == MAX_LAYERS


@pytest.mark.parametrize("have", [(8, 8, 1), (8, 8), (8,), (8, 1), (8, 8, 1, 1)])
@pytest.mark.parametrize("want", [(8, 8, 1), (8, 8), (8, 1), (8,)])
def test_data_fits_a_model_where_keras_trains_it(want: tuple[int, ...], have: tuple[int, ...]) -> None:
    written = sequential(layer("Input", shape=list(want)), layer("Flatten"), layer("Dense", units=1))
    theirs = keras.Sequential([keras.Input(want), kl.Flatten(), kl.Dense(1)])
    theirs.compile("sgd", "mse")
    try:
        theirs.train_on_batch(np.zeros((8, *have)), np.zeros((8, 1)))
    except ValueError:
        with pytest.raises(InvalidSpec):
            checked(written, have)
    else:
        checked(written, have)


# --- What cannot be built ------------------------------------------------------------------------------------------


FIRST = "/model/config/layers/1"
SECOND = "/model/config/layers/2"


UNROLLED = layer("LSTM", units=2, unroll=True)


@pytest.mark.parametrize(
    ("layers", "shape", "pointer", "says"),
    [
        ([layer("Conv2D", filters=2, kernel_size=9)], (8, 8, 1), FIRST, "Conv2D 'conv2d' on input of shape [null, 8"),
        ([layer("Dense", units=3), layer("LSTM", units=2)], (4,), SECOND, "LSTM 'lstm' on input of shape [null, 3]"),
        ([layer("Reshape", target_shape=[7])], (4,), FIRST, "Reshape"),
        ([layer("Conv2D", filters=3, kernel_size=3, groups=2)], (8, 8, 1), FIRST, "groups"),
        ([layer("TimeDistributed", layer=layer("Conv1D", filters=2, kernel_size=9))], (3, 8, 1), FIRST, "[null, 3, 8"),
        ([layer("BatchNormalization", axis=9)], (4,), FIRST, "'batch_normalization' on input of shape [null, 4]"),
        ([layer("LSTM", units=2, unroll=True)], (600, 2), f"{FIRST}/config/unroll", "600 steps"),
        ([layer("LSTM", units=2, unroll=True, input_dim=2)], (5, 2), f"{FIRST}/config/unroll", "number of its time"),
        (
            [layer("Bidirectional", layer=layer("LSTM", units=2, unroll=True))],
            (300, 2),
            f"{FIRST}/config/layer/config/unroll",
            "600 steps",
        ),
        (
            [layer("LSTM", units=2, unroll=True, return_sequences=True), layer("GRU", units=2, unroll=True)],
            (300, 2),
            f"{SECOND}/config/unroll",
            "600 steps",
        ),
        (
            [layer("RNN", cell=[layer("LSTMCell", units=2), layer("GRUCell", units=2)], unroll=True)],
            (300, 2),
            f"{FIRST}/config/unroll",
            "600 steps",
        ),
        (
            [layer("TimeDistributed", layer=sequential(layer("RepeatVector", n=600), UNROLLED))],
            (3, 2),
            f"{FIRST}/config/layer/config/layers/1/config/unroll",
            "600 steps",
        ),
        ([layer("ConvLSTM1D", filters=1, kernel_size=1, unroll=True)], (600, 2, 2), f"{FIRST}/config/unroll", "600"),
        ([layer("Add")], (4,), FIRST, "Add"),
    ],
)  # fmt: skip
def test_the_layer_that_does_not_fit_is_named(
    layers: list[Layer], shape: tuple[int, ...], pointer: str, says: str
) -> None:
    with pytest.raises(ModelBuildError) as caught:
        build_model(checked(sequential(*layers), shape).model)
    assert caught.value.pointer == pointer
    assert says in caught.value.message
    assert not re.search(r"\x1b|Arguments received by|Exception encountered", caught.value.message)
    assert len(caught.value.message) > 20


def test_each_call_of_a_shared_layer_is_unrolled() -> None:
    short, long = keras.Input((2, 2)), keras.Input((300, 2))
    shared = kl.LSTM(2, unroll=True, name="shared")
    model = keras.Model([short, long], kl.Add()([shared(short), shared(long), shared(kl.ReLU()(long))]))
    written = json.loads(model.to_json())
    with pytest.raises(ModelBuildError, match="602 steps") as caught:
        build_model(KerasObject.model_validate(checked_model(written)))
    index = [one["name"] for one in written["config"]["layers"]].index("shared")
    assert caught.value.pointer == f"/model/config/layers/{index}/config/unroll"


def checked_model(written: dict[str, Any]) -> dict[str, Any]:
    report = Report()
    canonical: dict[str, Any] = check_object(written, "layers", Pointer(report))
    assert not report.faults
    return canonical


def test_layers_of_a_pipeline_are_unrolled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.keras_tools.unrolled.MAX_UNROLLED_STEPS", 10)
    pipeline = layer("Pipeline", layers=[layer("RepeatVector", n=11), UNROLLED])
    with pytest.raises(ModelBuildError, match="11 steps") as caught:
        build_model(checked(sequential(pipeline), (2,)).model)
    assert caught.value.pointer == f"{FIRST}/config/layers/1/config/unroll"


def test_what_is_unrolled_within_bounds_is_what_keras_makes() -> None:
    inner = kl.Bidirectional(kl.LSTM(2, unroll=True, return_sequences=True))
    model = keras.Sequential([keras.Input((100, 2)), inner, kl.TimeDistributed(kl.Dense(1))])
    assert_round_trip(model, (100, 2))


ACTIVATIONS = [kl.Activation("gelu"), kl.ELU(0.5), kl.LeakyReLU(0.2), kl.ReLU(6), kl.Softmax(1)]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda one: type(one).__name__)
def test_a_layer_as_an_activation_is_what_keras_makes(activation: kl.Layer) -> None:
    model = keras.Sequential([keras.Input((5, 2)), kl.Dense(3, activation), kl.Bidirectional(kl.GRU(2, activation))])
    assert_round_trip(model, (5, 2))


def test_the_layers_that_may_be_activations_are_those_without_weights() -> None:
    exported = {
        name
        for name, value in vars(kl).items()
        if getattr(value, "__module__", "").startswith("keras.src.layers.activations.")
    }
    assert exported - {"PReLU"} == catalogue.ACTIVATION_LAYERS
    model = keras.Sequential([keras.Input((4,)), kl.Dense(3, kl.PReLU())])
    built = len(model.weights)
    model(samples((4,)))
    assert len(model.weights) == built + 1  # too late


def test_in_a_functional_model_too() -> None:
    inputs = keras.Input((4,))
    written = json.loads(keras.Model(inputs, kl.Add()([kl.Dense(3)(inputs), kl.Dense(3)(inputs)])).to_json())
    written["config"]["layers"][1]["config"]["units"] = 5
    with pytest.raises(ModelBuildError, match=r"layer 3, Add .* \[\[null, 5\], \[null, 3\]\]") as caught:
        build_model(checked(written, (4,)).model)
    assert caught.value.pointer == "/model/config/layers/3"


def test_a_tensor_that_a_layer_does_not_give() -> None:
    inputs = keras.Input((4,))
    written = json.loads(keras.Model(inputs, kl.Dense(3)(inputs)).to_json())
    written["config"]["output_layers"] = [written["config"]["layers"][1]["name"], 0, 1]
    with pytest.raises(ModelBuildError, match="no tensor 1"):
        build_model(checked(written, (4,)).model)


@pytest.mark.parametrize("class_name", ["Lambda", "TFSMLayer", "__init__"])
def test_a_class_outside_the_catalogue_is_not_made_even_if_it_got_here(class_name: str) -> None:
    with pytest.raises(ModelBuildError, match="is not one of the layers"):
        build_model(KerasObject.model_validate(sequential(layer("Input", shape=[4]), layer(class_name))))


def test_nor_is_a_name_or_an_argument() -> None:
    for config in ({"units": 1, "activation": "keras.utils.get_file"}, {"units": 1, "evil": 1}):
        with pytest.raises(ModelBuildError):
            build_model(KerasObject.model_validate(sequential(layer("Input", shape=[4]), layer("Dense", **config))))


# --- Several inputs and outputs, and architectures ------------------------------------------------------------------


def two_ends() -> keras.Model:
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    both = kl.Concatenate()([left, right])
    return keras.Model([left, right], [kl.Dense(1, name="value")(both), kl.Dense(2, name="kind")(both)])


def named_ends() -> keras.Model:
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    both = kl.Concatenate()([left, right])
    outputs = {"value": kl.Dense(1)(both), "kind": kl.Dense(2, activation="softmax")(both)}
    return keras.Model({"left": left, "right": right}, outputs)


@pytest.mark.parametrize("make", [two_ends, named_ends])
def test_models_of_several_ends_go_there_and_back(make: Callable[[], keras.Model]) -> None:
    theirs = make()
    arrays = {
        "a": ArrayInfo((8, 4), "float32"),
        "b": ArrayInfo((8, 3), "float32"),
        "y": ArrayInfo((8,), "float32"),
        "z": ArrayInfo((8, 2), "float32"),
    }
    raw = {
        "model": theirs.to_json(),
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "data": {"dataset": "mine", "x": {"left": "a", "right": "b"}, "y": {"value": "y", "kind": "z"}},
    }
    ours = build_model(parse_job(raw, lambda name: DatasetInfo(name, arrays)).spec.model)
    assert ours.output_names == theirs.output_names
    ours.set_weights(theirs.get_weights())
    inputs = {"left": samples((4,)), "right": samples((3,))}
    for mine, yours in zip(keras.tree.flatten(ours(inputs)), keras.tree.flatten(theirs(inputs)), strict=True):
        np.testing.assert_array_equal(mine, yours)


SMALL = {"weights": None, "input_shape": [32, 32, 3], "classes": 4}


def test_an_architecture_is_what_keras_makes() -> None:
    shape = (32, 32, 3)
    spec = checked({"class_name": "MobileNetV2", "config": {**SMALL, "alpha": 0.35}}, shape)
    keras.utils.set_random_seed(5)
    ours = build_model(spec.model)
    keras.utils.set_random_seed(5)
    theirs = keras.applications.MobileNetV2(shape, 0.35, weights=None, classes=4)
    assert_same(ours, theirs, shape)


def test_an_architecture_may_be_a_layer_and_frozen() -> None:
    base = layer("MobileNet", weights=None, include_top=False, input_shape=[32, 32, 3], pooling="avg", trainable=False)
    model = build_model(checked(sequential(base, layer("Dense", units=2)), (32, 32, 3)).model)
    assert model.output_shape == (None, 2)
    assert len(model.trainable_weights) == 2


def test_published_weights_that_cannot_be_fetched_come_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("URL fetch failure on https://example.org: None -- no route")

    monkeypatch.setattr("keras.src.applications.mobilenet.file_utils.get_file", refuse)
    spec = checked({"class_name": "MobileNet", "config": {"weights": "imagenet"}}, (224, 224, 3))
    with pytest.raises(ModelBuildError) as raised:
        build_model(spec.model)
    assert raised.value.pointer == "/model/config/weights"
    assert "set `weights` to null" in raised.value.message
    assert build_model(spec.model, pretrained=False).count_params() > 4_000_000


@pytest.mark.parametrize("weights", ["/etc/passwd", "gs://bucket/w.h5", "../w.weights.h5", 5, True])
def test_weights_are_no_path(weights: Any) -> None:
    with pytest.raises(InvalidSpec) as raised:
        checked({"class_name": "ResNet50", "config": {"weights": weights}}, (224, 224, 3))
    assert raised.value.errors[0].pointer == "/model/config/weights"


COMMON = {"name": "mine", "trainable": False, "autocast": False, "dtype": "float64", "activity_regularizer": "l2"}


@pytest.mark.parametrize("class_name", SINGLE)
def test_what_every_layer_takes_is_taken_by_keras(class_name: str) -> None:
    config, shape, _ = SINGLE[class_name]
    known = catalogue.kind("layers").classes[class_name].properties
    common = {name: value for name, value in COMMON.items() if name in known and name not in config}
    spec = checked(sequential(layer("Input", shape=list(shape)), layer(class_name, **config, **common)), shape)
    assert build_model(spec.model).layers[0].name == "mine"
