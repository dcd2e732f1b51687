"""Training over several replicas that gives what one device gives, whatever the batches.

Keras 3 gives each replica a share of a batch, computes a loss of the share and averages the losses. That is wrong as
soon as the shares differ in size or in the weights and masks of their samples, and for every loss that is no mean over
samples; an empty share aborts the process. Here the shares are even (`batches`), the replicas compute the layers, and
then the outputs are gathered, so that loss and metrics see the whole batch, each sample once, as on one device.

What the layers themselves compute of a share stays so: a BatchNormalization knows only its own replica's samples unless
it is `synchronized`, and a Dropout draws the same mask on every replica.
"""

from collections.abc import Callable
from math import gcd
from typing import Any, Final

import keras
import tensorflow as tf
from keras.src.losses import loss as keras_loss
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

from workers.trainer.data import Samples

Tensors = Any
"""A tensor, or lists and dictionaries of them."""

_MOVABLE: Final = frozenset({tf.float16, tf.float32, tf.float64, tf.int32, tf.int64})


def spread(model: keras.Model, strategy: tf.distribute.Strategy, samples: Samples) -> None:
    """Make the compiled model train and evaluate on batches as `batches` gives them. `samples` shows their types."""
    _leave_losses_unscaled()
    step = _Step(model, strategy.num_replicas_in_sync)
    model.train_step, model.test_step = step.train, step.test
    # The gradients are added up before the optimizer sees them, so that it clips those of the whole batch.
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    optimizer._all_reduce_sum_gradients = lambda pairs: pairs
    with strategy.scope():
        first = _each(lambda array: array[:1], (samples.x, samples.y, samples.weights))
        model._symbolic_build(data_batch=first)
    # It is built. Keras would build it from a batch of its own form, and fail at several steps an execution.
    model._maybe_symbolic_build = lambda *_, **__: None


def batches(model: keras.Model, samples: Samples, batch_size: int, *, shuffle: bool, replicas: int) -> tf.data.Dataset:
    """Batches `(x, y, sample weights, whether a sample counts)` that split evenly, in the order that Keras has.

    Samples of the same batch fill it up; they do not count.
    """
    adapter = ArrayDataAdapter(samples.x, samples.y, samples.weights, batch_size=batch_size, shuffle=shuffle)
    in_full = _couples_samples(model)

    def fill_up(*parts: Tensors) -> dict[str, Tensors]:
        count = tf.shape(keras.tree.flatten(parts)[0])[0]
        index = tf.range(_filled_size(count, replicas, in_full=in_full))
        filled = keras.tree.map_structure(lambda values: tf.gather(values, index % count), parts)
        return {**dict(zip(("x", "y", "weights"), filled, strict=False)), "counts": tf.cast(index < count, "int32")}

    filled = adapter.get_tf_dataset().map(fill_up, num_parallel_calls=tf.data.AUTOTUNE)
    return filled.apply(tf.data.experimental.assert_cardinality(adapter.num_batches)).prefetch(tf.data.AUTOTUNE)


def _couples_samples(model: keras.Model) -> bool:
    """Whether a layer computes something of a batch, so that all its samples must be there equally often."""
    return any(
        isinstance(layer, keras.layers.BatchNormalization) or layer.activity_regularizer is not None
        for layer in model._flatten_layers()
    )


def _filled_size(count: tf.Tensor, replicas: int, *, in_full: bool) -> tf.Tensor:
    """The size of a batch of `count` samples that splits evenly: the least, or the least multiple of `count`."""
    if not in_full:
        return -(-count // replicas) * replicas
    return count * (replicas // tf.constant([gcd(rest, replicas) for rest in range(replicas)])[count % replicas])


class _Step:
    """What each replica does with its share of a batch."""

    def __init__(self, model: keras.Model, replicas: int) -> None:
        self._model = model
        self._replicas = replicas

    def train(self, share: dict[str, Tensors]) -> dict[str, Any]:
        model = self._model
        with tf.GradientTape() as tape:
            whole, loss = self._seen(share, training=True)
            loss = model.optimizer.scale_loss(loss / self._replicas)
        weights = model.trainable_weights
        gradients = tape.gradient(loss, weights)
        there = [gradient for gradient in gradients if gradient is not None]
        summed = iter(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, there))
        gradients = [None if gradient is None else next(summed) for gradient in gradients]
        model.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return self._metrics(whole)

    def test(self, share: dict[str, Tensors]) -> dict[str, Any]:
        whole, _ = self._seen(share, training=False)
        return self._metrics(whole)

    def _seen(self, share: dict[str, Tensors], *, training: bool) -> tuple[dict[str, Tensors], tf.Tensor]:
        """The whole batch, and its loss."""
        model = self._model
        outputs = model(share["x"], training=training)
        # Taken now: while the shares are gathered, the next replica goes through the layers and leaves its own here.
        added = model.losses
        whole = self._whole(outputs, share)
        loss = sum(added, model._compile_loss(whole["y"], whole["outputs"], whole["weights"]))
        model._loss_tracker.update_state(loss, sample_weight=whole["count"])
        return whole, loss

    def _whole(self, outputs: Tensors, share: dict[str, Tensors]) -> dict[str, Tensors]:
        """The whole batch, without what filled it up: `y`, `outputs`, `weights` and the number of samples."""
        parts = {"y": share["y"], "weights": share.get("weights"), "outputs": outputs}
        parts["masks"] = [getattr(output, "_keras_mask", None) for output in keras.tree.flatten(outputs)]
        count = tf.reduce_sum(_gathered(share["counts"]))
        whole = _each(lambda part: tf.cast(_gathered(_as_movable(part))[:count], part.dtype), parts)
        for output, mask in zip(keras.tree.flatten(whole["outputs"]), whole["masks"], strict=True):
            if mask is not None:
                output._keras_mask = mask
        return {**whole, "count": count}

    def _metrics(self, whole: dict[str, Tensors]) -> dict[str, Any]:
        """Keras adds up what the replicas know of a metric, so only the first of them looks at the batch."""
        if tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group) == 0:
            self._model.compute_metrics(None, whole["y"], whole["outputs"], sample_weight=whole["weights"])
        return dict(self._model.get_metrics_result())


def _each(act: Callable[[Any], Any], parts: Tensors) -> Tensors:
    """The same structure after `act`. What is not there stays away."""
    return keras.tree.map_structure(lambda part: None if part is None else act(part), parts)


def _as_movable(part: tf.Tensor) -> tf.Tensor:
    """TensorFlow moves numbers of few types between devices."""
    if part.dtype in _MOVABLE:
        return part
    if part.dtype.is_floating:
        return tf.cast(part, tf.float32)
    return tf.cast(part, tf.int64 if part.dtype in (tf.uint32, tf.uint64) else tf.int32)


@tf.custom_gradient  # type: ignore[untyped-decorator] # TensorFlow has no types
def _gathered(share: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """The shares of all replicas, one after the other, on each of them."""
    context = tf.distribute.get_replica_context()
    size = tf.shape(share)[0]

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        # All replicas computed the same from the whole batch: what would come from the others is known here.
        begin = context.replica_id_in_sync_group * size
        return upstream[begin : begin + size] * context.num_replicas_in_sync

    return context.all_gather(share, axis=0), gradient


def _leave_losses_unscaled() -> None:
    """Keras divides some losses by the number of replicas and not others; of a whole batch none may be."""
    keras_loss.scale_loss_for_distribution = keras_loss.unscale_loss_for_distribution = lambda loss: loss
