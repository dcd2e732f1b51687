"""The tables of what Keras has renamed or dropped: arguments, classes, and names of functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

RECURRENT: Final = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"})
EMBEDDINGS: Final = frozenset({"Embedding", "ReversibleEmbedding"})


@dataclass(frozen=True)
class Rule:
    """An argument that Keras no longer has.

    Attributes:
        classes: the classes that had it; None: every class that has no argument of this name today.
        becomes: the present name of the argument. Without one, the argument is dropped.
        harmless: the values that may be dropped; None: every value.
        otherwise: what the user should do instead, if the value may not be dropped.
    """

    kind: str
    argument: str
    classes: frozenset[str] | None = None
    becomes: str | None = None
    harmless: tuple[Any, ...] | None = None
    otherwise: str = ""


_CELLS: Final = frozenset({"LSTMCell", "GRUCell", "SimpleRNNCell"})
_INPUT: Final = frozenset({"InputLayer"})
_TRANSPOSED: Final = frozenset({"Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"})
_SEPARABLE: Final = frozenset({"SeparableConv1D", "SeparableConv2D"})
_NORMALIZATION: Final = frozenset({"BatchNormalization"})
_ATTENTION: Final = frozenset({"Attention", "AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention"})
_NADAM: Final = frozenset({"Nadam"})
_NO_TENSOR: Final = "JSON cannot contain a tensor: leave it out and name the data in `data`."
_NO_SUCH_ARGUMENT: Final = "Keras 3 has no such argument."
ARGUMENTS: Final = (
    Rule("optimizers", "lr", becomes="learning_rate"),
    Rule("optimizers", "is_legacy_optimizer"),
    Rule("optimizers", "jit_compile"),
    # The decay of Nadam's momentum, which is fixed in Keras 3; tf.keras called it `decay`. Neither decays the rate.
    Rule("optimizers", "schedule_decay", _NADAM),
    Rule("optimizers", "decay", _NADAM),
    # The function that the class wraps.
    Rule("losses", "fn"),
    Rule("metrics", "fn"),
    Rule("regularizers", "l", frozenset({"L1"}), becomes="l1"),
    Rule("regularizers", "l", frozenset({"L2"}), becomes="l2"),
    Rule("constraints", "m", frozenset({"MaxNorm"}), becomes="max_value"),
    Rule("callbacks", "epsilon", frozenset({"ReduceLROnPlateau"}), becomes="min_delta"),
    Rule("callbacks", "options", harmless=(None,), otherwise=_NO_SUCH_ARGUMENT),
    Rule(
        "callbacks",
        "load_weights_on_restart",
        harmless=(False, None),
        otherwise="Use the job's `initial_weights` instead.",
    ),
    Rule("callbacks", "batch_size", frozenset({"TensorBoard"})),
    Rule("callbacks", "write_grads", frozenset({"TensorBoard"})),
    Rule("callbacks", "embeddings_layer_names", frozenset({"TensorBoard"})),
    Rule("callbacks", "embeddings_data", frozenset({"TensorBoard"})),
    Rule("layers", "implementation", RECURRENT | _CELLS),
    Rule(
        "layers",
        "time_major",
        RECURRENT,
        harmless=(False, None),
        otherwise="Keras 3 has no time_major, and the first axis of a job's data is always the axis of samples. Leave "
        "it out; to swap later axes, put a Permute layer in front.",
    ),
    # What every layer of Keras 2 could have, and has no effect where a layer has no such argument today.
    Rule("layers", "trainable"),
    Rule("layers", "dtype"),
    Rule("layers", "seed"),
    Rule("layers", "dynamic", harmless=(False, None), otherwise=_NO_SUCH_ARGUMENT),
    Rule("layers", "ragged", harmless=(False, None), otherwise=_NO_SUCH_ARGUMENT),
    Rule("layers", "noise_shape", harmless=(None,), otherwise=_NO_SUCH_ARGUMENT),
    Rule(
        "layers",
        "causal",
        _ATTENTION,
        harmless=(False, None),
        otherwise="Write `use_causal_mask: true` in the call of the layer, beside its inputs.",
    ),
    Rule("layers", "causal", harmless=(False, None), otherwise=_NO_SUCH_ARGUMENT),
    Rule("layers", "tensor", _INPUT, harmless=(None,), otherwise=_NO_TENSOR),
    Rule("layers", "input_tensor", _INPUT, harmless=(None,), otherwise=_NO_TENSOR),
    Rule("layers", "batch_input_shape", _INPUT, becomes="batch_shape"),
    Rule("layers", "input_shape", _INPUT, becomes="shape"),
    Rule("layers", "type_spec", _INPUT, harmless=(None,), otherwise=_NO_TENSOR),
    # Keras has always ignored these, except on the first layer of a Sequential: see `input_arguments.py`.
    Rule("layers", "batch_input_shape"),
    Rule("layers", "input_shape"),
    Rule("layers", "input_dim"),
    Rule("layers", "input_length", RECURRENT | EMBEDDINGS),
    Rule("layers", "batch_size"),
    Rule("layers", "weights", harmless=(None,), otherwise="Use the job's `initial_weights` instead."),
    Rule("layers", "alpha", frozenset({"LeakyReLU"}), becomes="negative_slope"),
    Rule("layers", "fused", _NORMALIZATION),
    Rule("layers", "virtual_batch_size", _NORMALIZATION, harmless=(None,), otherwise=_NO_SUCH_ARGUMENT),
    Rule("layers", "adjustment", _NORMALIZATION, harmless=(None,), otherwise=_NO_SUCH_ARGUMENT),
    Rule("layers", "rng_type"),
    Rule("layers", "force_generator"),
    Rule("layers", "query_shape", frozenset({"MultiHeadAttention"})),
    Rule("layers", "key_shape", frozenset({"MultiHeadAttention"})),
    Rule("layers", "value_shape", frozenset({"MultiHeadAttention"})),
    Rule(
        "layers",
        "softmax_robust_masking",
        frozenset({"MultiHeadAttention"}),
        harmless=(False, None),
        otherwise=_NO_SUCH_ARGUMENT,
    ),
    Rule(
        "layers",
        "groups",
        frozenset({"DepthwiseConv1D", "DepthwiseConv2D"}) | _SEPARABLE | _TRANSPOSED,
        harmless=(1,),
        otherwise=_NO_SUCH_ARGUMENT,
    ),
    Rule("layers", "kernel_initializer", _SEPARABLE),
    Rule("layers", "kernel_regularizer", _SEPARABLE),
    Rule("layers", "kernel_constraint", _SEPARABLE),
    # An initializer creates numbers of the dtype of the layer's weights.
    Rule("initializers", "dtype"),
    Rule("dtype_policies", "loss_scale"),
)

# TensorFlow 2.0 wrote them with a V2 behind the name.
_INITIALIZERS: Final = (
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
)
CLASSES: Final = {
    ("layers", "Model"): "Functional",
    ("layers", "CuDNNLSTM"): "LSTM",
    ("layers", "CuDNNGRU"): "GRU",
    ("layers", "ThresholdedReLU"): "ReLU",
    ("layers", "BatchNormalizationV1"): "BatchNormalization",
    ("layers", "BatchNormalizationV2"): "BatchNormalization",
    ("layers", "SyncBatchNormalization"): "BatchNormalization",
    ("layers", "UnifiedLSTM"): "LSTM",
    ("layers", "UnifiedGRU"): "GRU",
    ("dtype_policies", "Policy"): "DTypePolicy",
    ("dtype_policies", "PolicyV1"): "DTypePolicy",
    **{("initializers", f"{name}V2"): name for name in _INITIALIZERS},
    ("losses", "CosineProximity"): "CosineSimilarity",
    ("metrics", "CosineProximity"): "CosineSimilarity",
    ("losses", "Logcosh"): "LogCosh",
    ("constraints", "maxnorm"): "MaxNorm",
    ("constraints", "nonneg"): "NonNeg",
    ("constraints", "unitnorm"): "UnitNorm",
}
"""The present names of renamed classes, by kind and old name."""

_LOSSES_AND_METRICS: Final = {
    "kullback_leibler_divergence": "kl_divergence",
    "cosine_proximity": "cosine_similarity",
    "cosine": "cosine_similarity",
}
NAMES: Final[Mapping[str, Mapping[str, Any]]] = {
    "losses": {**_LOSSES_AND_METRICS, "logcosh": "log_cosh", "huber_loss": "huber"},
    "metrics": {
        **_LOSSES_AND_METRICS,
        "kld": "kl_divergence",
        "KLD": "kl_divergence",
        "logcosh": "log_cosh_error",
        "log_cosh": "log_cosh_error",
    },
    # Not the l1l2 of Keras 3, whose factors are 0 unless they are given.
    "regularizers": {"l1_l2": {"class_name": "L1L2", "config": {"l1": 0.01, "l2": 0.01}}},
    "initializers": {name: {"class_name": "Constant", "config": {"value": 0.0}} for name in ("constant", "Constant")},
    "constraints": {"maxnorm": "max_norm", "nonneg": "non_neg", "unitnorm": "unit_norm"},
}
"""By kind, what names that Keras has dropped stood for: a present name, or an object."""
