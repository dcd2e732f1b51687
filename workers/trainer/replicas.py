"""Training on several replicas that gives the same numbers as one device, whatever the sizes of the batches.

Keras 3 gives each replica a share of a batch, computes the loss of each share, and averages these losses. That is wrong
if the shares differ in size or in the weights and masks of their samples, and for every loss that is not a mean over
samples; an empty share aborts the process. Here all shares have the same size (`make_batches`). The replicas compute
the layers; then their outputs are gathered, so that loss and metrics see the whole batch, as on one device, with each
sample once.

What a layer itself computes over its share is not gathered: a BatchNormalization knows only the samples of its own
replica unless it is `synchronized`, and a Dropout draws the same mask on every replica.
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
"""A tensor, or lists and dicts of tensors."""

# TensorFlow moves only tensors of these dtypes between devices.
_MOVABLE: Final = frozenset({tf.float16, tf.float32, tf.float64, tf.int32, tf.int64})


def replicate(model: keras.Model, strategy: tf.distribute.Strategy, samples: Samples) -> None:
    """Make a compiled model train and evaluate on batches from `make_batches`.

    Args:
        samples: samples of the dtypes and shapes to train on.
    """
    _leave_losses_unscaled()
    step = _ReplicaStep(model, strategy.num_replicas_in_sync)
    model.train_step, model.test_step = step.train, step.test
    # The step itself sums the gradients, before the optimizer clips them.
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    optimizer._all_reduce_sum_gradients = lambda pairs: pairs
    with strategy.scope():
        first_sample = _map_tensors(lambda array: array[:1], (samples.x, samples.y, samples.weights))
        model._symbolic_build(data_batch=first_sample)
    # Keras would build it again, from a batch in its own form, and fail if an execution has several steps.
    model._maybe_symbolic_build = lambda *_, **__: None


def make_batches(
    model: keras.Model, samples: Samples, batch_size: int, *, shuffle: bool, replicas: int
) -> tf.data.Dataset:
    """Return batches that split evenly among the replicas, in Keras's own order.

    Each batch is filled up with samples of its own. A batch is a dict of `x`, `y`, `weights` if there are any, and
    `counts`, which is 1 for a sample that counts and 0 for one that only fills the batch up.
    """
    adapter = ArrayDataAdapter(samples.x, samples.y, samples.weights, batch_size=batch_size, shuffle=shuffle)
    in_whole_copies = _couples_samples(model)

    def fill_up(*batch: Tensors) -> dict[str, Tensors]:
        size = tf.shape(keras.tree.flatten(batch)[0])[0]
        index = tf.range(_even_size(size, replicas, in_whole_copies=in_whole_copies))
        filled = keras.tree.map_structure(lambda values: tf.gather(values, index % size), batch)
        return {**dict(zip(("x", "y", "weights"), filled, strict=False)), "counts": tf.cast(index < size, "int32")}

    filled = adapter.get_tf_dataset().map(fill_up, num_parallel_calls=tf.data.AUTOTUNE)
    return filled.apply(tf.data.experimental.assert_cardinality(adapter.num_batches)).prefetch(tf.data.AUTOTUNE)


def _couples_samples(model: keras.Model) -> bool:
    """Return whether a layer computes something over all samples of a batch, so that all must occur equally often."""
    return any(
        isinstance(layer, keras.layers.BatchNormalization) or layer.activity_regularizer is not None
        for layer in model._flatten_layers()
    )


def _even_size(size: tf.Tensor, replicas: int, *, in_whole_copies: bool) -> tf.Tensor:
    """Return the smallest size for a batch that splits evenly; with whole copies, the smallest multiple of its size."""
    if not in_whole_copies:
        return -(-size // replicas) * replicas
    return size * (replicas // tf.constant([gcd(rest, replicas) for rest in range(replicas)])[size % replicas])


class _ReplicaStep:
    """What each replica does with its share of a batch."""

    def __init__(self, model: keras.Model, replicas: int) -> None:
        self._model = model
        self._replicas = replicas

    def train(self, share: dict[str, Tensors]) -> dict[str, Any]:
        """Do a step of training; return the results of the metrics."""
        model = self._model
        with tf.GradientTape() as tape:
            batch, loss = self._forward(share, training=True)
            loss = model.optimizer.scale_loss(loss / self._replicas)
        weights = model.trainable_weights
        gradients = tape.gradient(loss, weights)
        existing = [gradient for gradient in gradients if gradient is not None]
        sums = iter(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, existing))
        gradients = [None if gradient is None else next(sums) for gradient in gradients]
        model.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return self._update_metrics(batch)

    def test(self, share: dict[str, Tensors]) -> dict[str, Any]:
        """Do a step of validation; return the results of the metrics."""
        batch, _ = self._forward(share, training=False)
        return self._update_metrics(batch)

    def _forward(self, share: dict[str, Tensors], *, training: bool) -> tuple[dict[str, Tensors], tf.Tensor]:
        """Return the whole batch with its outputs, and its loss."""
        model = self._model
        outputs = model(share["x"], training=training)
        # Read now: while this replica gathers, the next one goes through the layers and leaves its own losses there.
        layer_losses = model.losses
        batch = self._gather_batch(outputs, share)
        loss = sum(layer_losses, model._compile_loss(batch["y"], batch["outputs"], batch["weights"]))
        model._loss_tracker.update_state(loss, sample_weight=batch["size"])
        return batch, loss

    def _gather_batch(self, outputs: Tensors, share: dict[str, Tensors]) -> dict[str, Tensors]:
        """Return `y`, `outputs`, `weights` and `size` of the whole batch, without the samples that filled it up."""
        own = {"y": share["y"], "weights": share.get("weights"), "outputs": outputs}
        own["masks"] = [getattr(output, "_keras_mask", None) for output in keras.tree.flatten(outputs)]
        size = tf.reduce_sum(_gather(share["counts"]))
        batch = _map_tensors(lambda values: tf.cast(_gather(_as_movable(values))[:size], values.dtype), own)
        for output, mask in zip(keras.tree.flatten(batch["outputs"]), batch["masks"], strict=True):
            if mask is not None:
                output._keras_mask = mask
        return {**batch, "size": size}

    def _update_metrics(self, batch: dict[str, Tensors]) -> dict[str, Any]:
        """Update the metrics on the first replica only, because Keras sums what the replicas know of a metric."""
        if tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group) == 0:
            self._model.compute_metrics(None, batch["y"], batch["outputs"], sample_weight=batch["weights"])
        return dict(self._model.get_metrics_result())


def _map_tensors(function: Callable[[Any], Any], tensors: Tensors) -> Tensors:
    """Return the same structure with the function applied to each tensor; None stays None."""
    return keras.tree.map_structure(lambda tensor: None if tensor is None else function(tensor), tensors)


def _as_movable(tensor: tf.Tensor) -> tf.Tensor:
    """Return the tensor in a dtype that TensorFlow can move between devices."""
    if tensor.dtype in _MOVABLE:
        return tensor
    if tensor.dtype.is_floating:
        return tf.cast(tensor, tf.float32)
    return tf.cast(tensor, tf.int64 if tensor.dtype in (tf.uint32, tf.uint64) else tf.int32)


@tf.custom_gradient  # type: ignore[untyped-decorator] # TensorFlow has no types
def _gather(share: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Return the shares of all replicas, one after the other, on each replica."""
    context = tf.distribute.get_replica_context()
    size = tf.shape(share)[0]

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        # All replicas compute the same from the whole batch, so the gradients of the others are known here.
        begin = context.replica_id_in_sync_group * size
        return upstream[begin : begin + size] * context.num_replicas_in_sync

    return context.all_gather(share, axis=0), gradient


def _leave_losses_unscaled() -> None:
    """Keep Keras from dividing losses by the number of replicas, which it does for some of them.

    The loss of a whole batch must not be divided.
    """
    keras_loss.scale_loss_for_distribution = keras_loss.unscale_loss_for_distribution = lambda loss: loss
