"""The types of Keras's arguments that signatures do not show: the rules of the catalogue, as JSON Schema."""

import inspect
from typing import Any

from tools.schemas import (
    ABOVE_ZERO,
    ARRAY_DTYPES,
    AXIS,
    BOOL,
    FLOAT_OR_FLOATS,
    FLOATS,
    FRACTION,
    LEARNING_RATE,
    MODE,
    NAMES,
    NATURAL,
    NOT_NEGATIVE,
    POSITIVE,
    RATE,
    REDUCTION,
    SEED,
    SPAN,
    STRING,
    Schema,
    any_of,
    array,
    each_axis,
    integer,
    keras,
    nullable,
    number,
    one_of,
    unsupported,
)
from tools.types_by_class import BY_CLASS, NO_TENSOR, application_type

_LORA = unsupported("The service does not train low-rank adapters (LoRA).")
_QUANTIZATION = unsupported("The service does not train quantized weights.")
_KERNEL_AXES = unsupported("The service takes the axes from the shape of the weights, as Keras does for null.")

BY_NAME: dict[str, Schema] = {
    "dtype": nullable(keras("dtype_policies")),
    "seed": SEED,
    "units": POSITIVE,
    "filters": POSITIVE,
    "groups": POSITIVE,
    "depth_multiplier": POSITIVE,
    "output_dim": POSITIVE,
    "input_dim": POSITIVE,
    "activation": nullable(keras("activations")),
    "recurrent_activation": nullable(keras("activations")),
    "data_format": nullable(one_of("channels_last", "channels_first")),
    "padding": one_of("valid", "same"),
    "dropout": RATE,
    "recurrent_dropout": RATE,
    "layer": keras("layers"),
    "learning_rate": LEARNING_RATE,
    "initial_learning_rate": NOT_NEGATIVE,
    "weight_decay": nullable(NOT_NEGATIVE),
    "clipnorm": nullable(ABOVE_ZERO),
    "clipvalue": nullable(ABOVE_ZERO),
    "global_clipnorm": nullable(ABOVE_ZERO),
    "ema_momentum": FRACTION,
    "ema_overwrite_frequency": nullable(POSITIVE),
    "loss_scale_factor": nullable(ABOVE_ZERO),
    "gradient_accumulation_steps": nullable(integer(2)),
    "beta_1": FRACTION,
    "beta_2": FRACTION,
    "momentum": FRACTION,
    "rho": FRACTION,
    "epsilon": NOT_NEGATIVE,
    "reduction": REDUCTION,
    "from_logits": BOOL,
    "label_smoothing": FRACTION,
    "monitor": STRING,
    "mode": MODE,
    "verbose": one_of(0, 1),
    "patience": NATURAL,
    "cooldown": NATURAL,
    "min_delta": number(),
    "start_from_epoch": NATURAL,
    "num_classes": integer(2),
    # Keras creates the thresholds when it builds the metric, so a billion of them would stop the check of the model.
    "num_thresholds": integer(1, 100_000),
    "thresholds": FLOAT_OR_FLOATS,
    "class_id": nullable(NATURAL),
    "top_k": nullable(POSITIVE),
    "k": POSITIVE,
    "ignore_class": nullable(integer()),
    "target_class_ids": array(NATURAL, 1, 1000),
    "threshold": nullable(number()),
    "axis": AXIS,
    "decay_steps": POSITIVE,
    "lora_rank": _LORA,
    "lora_alpha": _LORA,
    "quantization_config": _QUANTIZATION,
    "weights": unsupported("A model is sent without weights. Use the job's `initial_weights` instead."),
    "input_axes": _KERNEL_AXES,
    "output_axes": _KERNEL_AXES,
    "gptq_unpacked_column_size": _QUANTIZATION,
    "input_tensor": NO_TENSOR,
    "noise_shape": nullable(array(nullable(POSITIVE), 1, 16)),
    "height": POSITIVE,
    "width": POSITIVE,
    "factor": SPAN,
    "value_range": array(number(), 2, 2),
    "interpolation": one_of("bilinear", "nearest"),
    "fill_mode": one_of("constant", "nearest", "wrap", "reflect"),
    "fill_value": number(),
    "cell": any_of(keras("layers"), array(keras("layers"), 1, 64)),
    "num_heads": POSITIVE,
    "key_dim": POSITIVE,
    "value_dim": nullable(POSITIVE),
    "sliding_window": nullable(POSITIVE),
    "flash_attention": nullable(BOOL),
    "num_bins": POSITIVE,
    "window": nullable(one_of("hann", "hamming")),
    "scaling": nullable(one_of("density", "spectrum")),
    "fft_length": nullable(POSITIVE),
    "autocast": BOOL,
}

AXES = {"1D": 1, "2D": 2, "3D": 3}
BY_AXES: dict[str, Schema] = {
    "kernel_size": POSITIVE,
    "pool_size": POSITIVE,
    "strides": POSITIVE,
    "dilation_rate": POSITIVE,
    "output_padding": NATURAL,
    "size": POSITIVE,
}

# Arguments that layers pass to their base class, so that they are not in the signature.
_ALL_LAYERS: dict[str, Schema] = {
    "name": NAMES["layers"] | {"default": None, "description": "The layer's name; by default its class's, numbered."},
    "trainable": BOOL | {"default": True, "description": "Whether training changes the layer's weights."},
    "dtype": nullable(keras("dtype_policies"))
    | {"default": None, "description": "The type of the layer's weights and computations."},
}
_MOST_LAYERS: dict[str, Schema] = _ALL_LAYERS | {
    "autocast": BOOL | {"default": True, "description": "Whether inputs are cast to the layer's own type."},
    "activity_regularizer": nullable(keras("regularizers"))
    | {"default": None, "description": "Regularizer function for the output."},
}
# Arguments of the base class that these classes set themselves, or do not pass on.
_NOT_ACCEPTED = {
    "ActivityRegularization": ["activity_regularizer"],
    "IntegerLookup": ["activity_regularizer", "autocast"],
}
_ALL_APPLICATIONS: dict[str, Schema] = {
    "trainable": BOOL | {"default": True, "description": "Whether training changes the weights."},
}
_ADAPT: dict[str, Schema] = {
    "adapt": BOOL | {"description": "Whether the layer learns from the training data, before the training."}
}
_EXTRA_ARGUMENTS: dict[str, dict[str, Schema]] = {
    "ModelCheckpoint": {
        "period": POSITIVE | {"default": 1, "description": "Epochs between two checkpoints, as Keras had it in 2020."},
        "include_optimizer": BOOL
        | {"default": False, "description": "Whether the optimizer's state is in the file, too."},
    },
    "LayerNormalization": {
        "rms_scaling": one_of(False) | {"default": False, "description": "Keras writes it; RMS scaling is gone."}
    },
    # Arguments that these pass to a base class, and that Keras writes into their config.
    **{
        name: {"data_format": BY_NAME["data_format"] | {"default": None, "description": "The order of the axes."}}
        for name in ("AutoContrast", "RandomBrightness", "RandomContrast", "Solarization")
    },
    **{
        name: {
            "unroll": BOOL | {"default": False, "description": "Whether the time steps are unrolled."},
            "zero_output_for_mask": BOOL | {"default": False, "description": "Zeros for masked time steps."},
        }
        for name in ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
    },
    "AdditiveAttention": {"seed": SEED | {"default": None, "description": "For its dropout."}},
    "ReversibleEmbedding": {"quantization_config": _QUANTIZATION | {"default": None}},
    "Normalization": _ADAPT,
    "Discretization": _ADAPT,
    "IntegerLookup": {
        "vocabulary_size": nullable(NATURAL) | {"default": None, "description": "Keras writes it; it has no effect."},
        **_ADAPT,
    },
    **{
        name: {"zero_output_for_mask": BOOL | {"default": False, "description": "Zeros for masked time steps."}}
        for name in ("LSTM", "GRU", "SimpleRNN")
    },
}


def extra_arguments(kind: str, name: str, *, takes_more: bool) -> dict[str, Schema]:
    """Return the arguments of a class that are not in its signature.

    Args:
        takes_more: the class passes other arguments to its base class.
    """
    common = {"layers": _MOST_LAYERS, "applications": _ALL_APPLICATIONS}.get(kind, {})
    common = {argument: schema for argument, schema in common.items() if argument not in _NOT_ACCEPTED.get(name, ())}
    return _EXTRA_ARGUMENTS.get(name, {}) | (common if takes_more or kind == "applications" else {})


def type_of(kind: str, cls: str, name: str, default: Any) -> Schema:
    """Return the type of an argument.

    Raises:
        LookupError: no rule covers it.
    """
    if (cls, name) in BY_CLASS:
        return BY_CLASS[cls, name]
    if name == "name":
        return NAMES[kind]
    if kind == "applications" and (schema := application_type(name)):
        return schema
    if kind in {"losses", "metrics"} and name == "dtype":
        return nullable(one_of(*(ARRAY_DTYPES if "IoU" in cls else FLOATS)))
    for suffix, argument_kind in (("_initializer", "initializers"), ("_regularizer", "regularizers")):
        if name.endswith(suffix):
            return nullable(keras(argument_kind))
    if name.endswith("_constraint"):
        return nullable(keras("constraints"))
    if kind == "layers" and name in BY_AXES:
        axes = next((count for part_of_name, count in AXES.items() if part_of_name in cls), 1)
        schema = each_axis(BY_AXES[name], axes)
        return nullable(schema) if default is None else schema
    if name in BY_NAME:
        return BY_NAME[name]
    return _type_of_default(cls, name, default)


def _type_of_default(cls: str, name: str, default: Any) -> Schema:
    if isinstance(default, bool):
        return BOOL
    if isinstance(default, int | float):
        return number()
    reason = "has no default" if default is inspect.Parameter.empty else f"has the default {default!r}"
    raise LookupError(f"no rule covers the type of {cls}.{name}, which {reason}")
