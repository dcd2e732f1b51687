"""The sample weights that class weights become, compared with Keras's own and with weights made by hand."""

from typing import Any

import keras
import numpy as np
import pytest
from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights

from fitqueue.spec import KerasObject
from workers.keras_tools.npz import DataError
from workers.trainer.class_weights import with_class_weights
from workers.trainer.data import Samples

RANDOM = np.random.default_rng(1)
LABELS = RANDOM.integers(0, 4, 50)
ONE_HOT = keras.utils.to_categorical(LABELS, 4)
MASKS = RANDOM.integers(0, 3, (6, 5, 4))
WEIGHTS = {"0": 3.0, "2": 0.25}
BY_LABEL = np.array([3.0, 1.0, 0.25, 1.0], "float32")


def weighted(y: Any, output: Any, class_weight: Any, sample_weight: Any = None, loss: Any = "mse") -> Samples:
    """Return samples with class weights, for a model with an output of this shape, or with several by name."""

    class Fit:
        pass

    class Spec:
        fit, compile = Fit(), Fit()

    Spec.fit.class_weight, Spec.compile.loss = class_weight, loss
    shapes = output if isinstance(output, dict) else {"only": output}
    inputs = keras.Input((2,))
    outputs = [
        keras.layers.Reshape(shape, name=name)(keras.layers.Dense(int(np.prod(shape)))(inputs))
        for name, shape in shapes.items()
    ]
    model = keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0])
    x = np.zeros((len(next(iter(y.values())) if isinstance(y, dict) else y), 2))
    return with_class_weights(model, Samples(x, y, sample_weight), Spec)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("y", "output"),
    [
        (LABELS, (4,)),
        (LABELS[:, None], (4,)),
        (LABELS.astype("float32") + 0.2, (4,)),
        (LABELS.astype("uint8"), (1,)),
        (LABELS > 1, (1,)),
        (ONE_HOT, (4,)),
        (RANDOM.random((50, 4)), (4,)),
        (ONE_HOT * 0.9 + 0.025, (4,)),
    ],
    ids=["labels", "column", "rounded", "one number", "booleans", "one hot", "any rows", "smoothed"],
)
def test_weights_are_those_of_keras(y: Any, output: tuple[int, ...]) -> None:
    expected = class_weight_to_sample_weights(y, {int(label): weight for label, weight in WEIGHTS.items()})
    weights = weighted(y, output, WEIGHTS).weights
    assert weights.dtype == expected.dtype
    np.testing.assert_array_equal(weights, expected)


@pytest.mark.parametrize(
    ("y", "output"), [(MASKS, (5, 4, 3)), (MASKS[..., None], (5, 4, 3)), (keras.utils.to_categorical(MASKS), (5, 4, 3))]
)
def test_each_pixel_of_an_image_has_the_weight_of_its_class(y: Any, output: tuple[int, ...]) -> None:
    samples = weighted(y, output, WEIGHTS)
    np.testing.assert_array_equal(samples.weights, BY_LABEL[MASKS])
    assert samples.y.shape == y.shape


def test_a_mask_of_two_classes_has_a_loss_for_each_pixel() -> None:
    mask = MASKS.clip(max=1)
    samples = weighted(mask, (5, 4, 1), WEIGHTS)
    np.testing.assert_array_equal(samples.weights, BY_LABEL[mask])
    np.testing.assert_array_equal(samples.y, mask[..., None])
    prediction = RANDOM.random((6, 5, 4, 1)).astype("float32")
    loss = keras.losses.BinaryCrossentropy()
    assert float(loss(samples.y, prediction)) == pytest.approx(float(loss(mask, prediction)), rel=1e-6)
    assert np.isfinite(float(loss(samples.y, prediction, sample_weight=samples.weights)))


def test_a_sample_with_several_labels_has_their_mean_weight() -> None:
    rows = np.array([[1, 0, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(weighted(rows, (4,), WEIGHTS).weights, np.float32([3.0, 1.625, 1.0, 1.0]))


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    # n_samples / (n_classes * np.bincount(y)), the formula of sklearn.utils.class_weight.compute_class_weight
    expected = (50 / (4 * np.bincount(LABELS)))[LABELS].astype("float32")
    for y, output in ((LABELS, (4,)), (ONE_HOT, (4,)), (LABELS.astype("float64"), (4,))):
        np.testing.assert_array_equal(weighted(y, output, "balanced").weights, expected)
    pixels = (MASKS.size / (3 * np.bincount(MASKS.ravel())))[MASKS].astype("float32")
    np.testing.assert_array_equal(weighted(MASKS, (5, 4, 3), "balanced").weights, pixels)


def test_balanced_weights_leave_out_classes_that_are_not_there_or_ignored() -> None:
    y = np.array([7, 7, 7, 2, 255])
    np.testing.assert_allclose(weighted(y, (9,), "balanced").weights, [5 / 9, 5 / 9, 5 / 9, 5 / 3, 5 / 3], rtol=1e-6)
    loss = KerasObject(class_name="SparseCategoricalCrossentropy", config={"ignore_class": 255})
    weights = weighted(y, (9,), "balanced", loss=loss).weights
    np.testing.assert_allclose(weights[:4], [4 / 6, 4 / 6, 4 / 6, 2.0], rtol=1e-6)
    assert weighted(np.full(3, 255), (9,), "balanced", loss=loss).weights.tolist() == [1.0, 1.0, 1.0]


def test_balanced_weights_of_several_labels_have_the_mean_one_over_all_labels() -> None:
    rows = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0]])
    by_label = 5 / (3 * np.array([3, 1, 1]))
    expected = [by_label[[0, 1]].mean(), by_label[0], by_label[[0, 2]].mean(), 1.0]
    np.testing.assert_allclose(weighted(rows, (3,), "balanced").weights, expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 5), (6, 5, 4), (6, 5, 4, 1)])
def test_class_weights_multiply_sample_weights(shape: tuple[int, ...]) -> None:
    own = RANDOM.random(shape)
    broadcast = own.reshape(shape + (1,) * (3 - len(shape))) if len(shape) < 4 else own[..., 0]
    weights = weighted(MASKS, (5, 4, 3), WEIGHTS, own).weights
    np.testing.assert_array_equal(weights, (broadcast * BY_LABEL[MASKS]).astype("float32"))


def test_weights_of_steps_multiply_the_class_of_their_sample() -> None:
    own = RANDOM.random((50, 7))
    np.testing.assert_array_equal(
        weighted(LABELS, (4,), WEIGHTS, own).weights, (own * BY_LABEL[LABELS][:, None]).astype("float32")
    )


def test_other_sample_weights_are_an_error_of_the_data() -> None:
    with pytest.raises(DataError, match="do not match"):
        weighted(MASKS, (5, 4, 3), WEIGHTS, np.ones((6, 7)))


def test_each_output_has_its_own_classes() -> None:
    y = {"size": RANDOM.random(50), "kind": LABELS, "mask": RANDOM.integers(0, 3, (50, 2, 2))}
    own = RANDOM.random(50)
    outputs = {"size": (1,), "kind": (4,), "mask": (2, 2, 3)}
    weights = weighted(y, outputs, {"kind": WEIGHTS, "mask": "balanced"}, own).weights
    np.testing.assert_array_equal(weights["size"], own)
    np.testing.assert_array_equal(weights["kind"], (own * BY_LABEL[LABELS]).astype("float32"))
    assert weights["mask"].shape == (50, 2, 2)
    of_one = weighted(y, outputs, {"kind": WEIGHTS}, {"size": own}).weights
    np.testing.assert_array_equal(of_one["kind"], BY_LABEL[LABELS])
    np.testing.assert_array_equal(of_one["size"], own)
    assert "mask" not in of_one
