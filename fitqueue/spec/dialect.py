"""The old dialect: what Keras took when the documents were written that people still copy from.

Pure functions over one table. Each translation leaves a notice that says what was read as what.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from fitqueue.spec import catalogue
from fitqueue.spec.base import FaultCode, NoticeCode, Place

RECURRENT: Final = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"})
CELLS: Final = frozenset({"LSTMCell", "GRUCell", "SimpleRNNCell"})


@dataclass(frozen=True)
class Rule:
    """An argument that Keras once had.

    `becomes` is its present name. Without one it is dropped, but only where its value is in `harmless` (None: any
    value); else `otherwise` says what to do instead.
    """

    kind: str
    argument: str
    classes: frozenset[str] | None = None
    becomes: str | None = None
    harmless: tuple[Any, ...] | None = None
    otherwise: str = ""


_NO_TENSOR: Final = "There are no tensors in JSON: leave it out and name the data in `data`."
_INPUT: Final = frozenset({"InputLayer"})
_INPUTS: Final = ("InputLayer", "Input")
_TRANSPOSED: Final = frozenset({"Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"})
_NORMALIZATION: Final = frozenset({"BatchNormalization"})
_NOT_A_TRAINING_MATTER: Final = "Keras 3 has no such argument."
RULES: Final = (
    Rule("optimizers", "lr", becomes="learning_rate"),
    Rule("optimizers", "is_legacy_optimizer"),
    Rule("optimizers", "jit_compile"),
    Rule("callbacks", "epsilon", frozenset({"ReduceLROnPlateau"}), becomes="min_delta"),
    Rule("callbacks", "options", harmless=(None,), otherwise=_NOT_A_TRAINING_MATTER),
    Rule("callbacks", "load_weights_on_restart", harmless=(False, None), otherwise="Use `initial_weights` of the job."),
    Rule("callbacks", "batch_size", frozenset({"TensorBoard"})),
    Rule("callbacks", "write_grads", frozenset({"TensorBoard"})),
    Rule("callbacks", "embeddings_layer_names", frozenset({"TensorBoard"})),
    Rule("callbacks", "embeddings_data", frozenset({"TensorBoard"})),
    Rule("layers", "implementation", RECURRENT | CELLS),
    Rule(
        "layers",
        "time_major",
        RECURRENT,
        harmless=(False, None),
        otherwise="Keras 3 has no time_major. The first axis of a job's data is always that of the samples, so leave "
        "it out; to swap later axes, put a Permute layer in front.",
    ),
    Rule("layers", "tensor", _INPUT, harmless=(None,), otherwise=_NO_TENSOR),
    Rule("layers", "input_tensor", _INPUT, harmless=(None,), otherwise=_NO_TENSOR),
    Rule("layers", "batch_input_shape", _INPUT, becomes="batch_shape"),
    Rule("layers", "input_shape", _INPUT, becomes="shape"),
    Rule("layers", "type_spec", _INPUT, harmless=(None,), otherwise=_NO_TENSOR),
    # On layers within a functional model or another layer, where they have never counted.
    Rule("layers", "batch_input_shape"),
    Rule("layers", "input_length", frozenset({"Embedding"})),
    Rule("layers", "alpha", frozenset({"LeakyReLU"}), becomes="negative_slope"),
    Rule("layers", "fused", _NORMALIZATION),
    Rule("layers", "virtual_batch_size", _NORMALIZATION, harmless=(None,), otherwise=_NOT_A_TRAINING_MATTER),
    Rule("layers", "adjustment", _NORMALIZATION, harmless=(None,), otherwise=_NOT_A_TRAINING_MATTER),
    Rule("layers", "renorm_momentum", _NORMALIZATION),
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
        otherwise=_NOT_A_TRAINING_MATTER,
    ),
    Rule(
        "layers",
        "groups",
        frozenset({"DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"}) | _TRANSPOSED,
        harmless=(1,),
        otherwise=_NOT_A_TRAINING_MATTER,
    ),
    *(
        Rule("layers", f"kernel_{what}", frozenset({"SeparableConv1D", "SeparableConv2D"}))
        for what in ("initializer", "regularizer", "constraint")
    ),
    # The type of an initializer's numbers is that of the layer's weights.
    Rule("initializers", "dtype"),
)

CLASSES: Final = {
    ("layers", "Model"): "Functional",
    ("layers", "CuDNNLSTM"): "LSTM",
    ("layers", "CuDNNGRU"): "GRU",
    ("layers", "ThresholdedReLU"): "ReLU",
    ("losses", "CosineProximity"): "CosineSimilarity",
    ("metrics", "CosineProximity"): "CosineSimilarity",
    ("losses", "Logcosh"): "LogCosh",
}
"""Classes under names that Keras has given up."""

NAMES: Final = {
    "kullback_leibler_divergence": "kl_divergence",
    "cosine_proximity": "cosine_similarity",
    "cosine": "cosine_similarity",
    "logcosh": "log_cosh",
    "huber_loss": "huber",
}
"""Losses and metrics under names that Keras has given up."""

OPERATIONS: Final = frozenset({"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "TensorFlowOpLayer"})
"""What Keras 2 wrote for an operation on tensors."""

OPERATION: Final = "An operation on tensors is not accepted; use the layer that does the same, if there is one."


def translate_class(value: dict[str, Any], kind: str, at: Place) -> dict[str, Any]:
    """The object under its class's present name."""
    class_name = value.get("class_name")
    present = CLASSES.get((kind, class_name)) if isinstance(class_name, str) else None
    if present is None:
        return value
    (at / "class_name").notice(NoticeCode.TRANSLATED, f"{class_name!r} is read as {present!r}.")
    translated = {**value, "class_name": present}
    if value.get("registered_name") == class_name:
        translated["registered_name"] = present
    config = value.get("config")
    if class_name == "ThresholdedReLU" and isinstance(config, dict):
        # Its only argument: what is below gives 0.
        threshold = config.get("theta", 1.0)
        translated["config"] = {**{k: v for k, v in config.items() if k != "theta"}, "threshold": threshold}
    return translated


def translate_name(name: str, kind: str, at: Place) -> str:
    """The present name of a loss or metric."""
    present = NAMES.get(name) if kind in ("losses", "metrics") else None
    if present is None:
        return name
    at.notice(NoticeCode.TRANSLATED, f"{name!r} is read as {present!r}.")
    return present


def translate_arguments(kind: str, class_name: str, written: str, config: dict[str, Any], at: Place) -> dict[str, Any]:
    """The config in present words. `written` is the class name as the job had it."""
    config = dict(config)
    for rule in _rules_for(kind, class_name, config):
        if rule.argument in config:
            _apply(rule, config, written, at)
    if kind == "optimizers":
        _translate_decay(class_name, config, at)
    if kind == "layers":
        _translate_numbers(class_name, config, at)
    if class_name == "InputLayer" and isinstance(config.get("shape"), int) and not isinstance(config["shape"], bool):
        (at / "shape").notice(NoticeCode.TRANSLATED, f"shape {config['shape']} is read as [{config['shape']}].")
        config["shape"] = [config["shape"]]
    if class_name == "ModelCheckpoint":
        config = _translate_filepath(config, at)
    return config


def as_written(kind: str, class_name: str, argument: str, config: dict[str, Any]) -> str:
    """The name that an argument has in the config as it was written: a fault stands where its sender looks for it."""
    rules = _rules_for(kind, class_name, config)
    return next((rule.argument for rule in rules if rule.becomes == argument), argument)


def _rules_for(kind: str, class_name: str, config: dict[str, Any]) -> list[Rule]:
    return [
        rule
        for rule in RULES
        if rule.kind == kind and rule.argument in config and (rule.classes is None or class_name in rule.classes)
    ]


def _apply(rule: Rule, config: dict[str, Any], written: str, at: Place) -> None:
    value, here = config.pop(rule.argument), at / rule.argument
    if rule.becomes is None:
        _drop(rule, value, written, here)
    elif rule.becomes in config:
        here.fault(
            FaultCode.CONFLICT,
            f"{rule.argument!r} is the old name of {rule.becomes!r}, which is there, too.",
            received=value,
            expected=f"{rule.becomes!r} alone",
        )
    else:
        here.notice(NoticeCode.TRANSLATED, f"{written}: {rule.argument!r} is read as {rule.becomes!r}.")
        config[rule.becomes] = value


def _drop(rule: Rule, value: Any, written: str, here: Place) -> None:
    if rule.harmless is not None and not any(value is one for one in rule.harmless):
        here.fault(FaultCode.NOT_SUPPORTED, rule.otherwise, received=value, expected="nothing here")
    elif value is not None:
        here.notice(NoticeCode.IGNORED, f"{written}: {rule.argument!r} has no effect in Keras 3 and is left out.")


def _translate_decay(class_name: str, config: dict[str, Any], at: Place) -> None:
    """Keras 2 divided the learning rate by 1 + decay × step; a schedule says the same in Keras 3."""
    if config.get("epsilon", 0) is None:
        del config["epsilon"]
        (at / "epsilon").notice(NoticeCode.TRANSLATED, "An epsilon of null is read as Keras's default.")
    if "decay" not in config:
        return
    here, decay, rate = at / "decay", config.pop("decay"), config.get("learning_rate", _default_rate(class_name))
    if not _is_number(decay) or decay < 0:
        here.fault(FaultCode.WRONG_TYPE, "Expected a number ≥ 0.", decay, "a number ≥ 0")
    elif not decay:
        here.notice(NoticeCode.IGNORED, "A decay of 0 has no effect and is left out.")
    elif not _is_number(rate):
        here.fault(FaultCode.CONFLICT, "The learning rate is a schedule already.", decay, "one of the two")
    else:
        here.notice(NoticeCode.TRANSLATED, "decay is read as the schedule InverseTimeDecay of the learning rate.")
        schedule = {"initial_learning_rate": rate, "decay_steps": 1, "decay_rate": decay}
        config["learning_rate"] = {"class_name": "InverseTimeDecay", "config": schedule}


def _default_rate(class_name: str) -> Any:
    return catalogue.kind("optimizers").classes[class_name].properties.get("learning_rate", {}).get("default")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _translate_numbers(class_name: str, config: dict[str, Any], at: Place) -> None:
    """Whole numbers that Keras 2 took in another form."""
    for name in ("units", "filters"):
        value = config.get(name)
        if isinstance(value, float) and value.is_integer():
            (at / name).notice(NoticeCode.TRANSLATED, f"{value} is read as {int(value)}.")
            config[name] = int(value)
    axis = config.get("axis")
    if class_name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        (at / "axis").notice(NoticeCode.TRANSLATED, f"{axis} is read as {axis[0]}.")
        config["axis"] = axis[0]


def mentions(value: Any, word: str) -> bool:
    """Whether the word stands anywhere in a value of JSON."""
    if isinstance(value, dict):
        return any(mentions(one, word) for one in value.values())
    return any(mentions(one, word) for one in value) if isinstance(value, list) else value == word


# --- The shape of the input, once an argument of the first layer ---------------------------------------------------


@dataclass(frozen=True)
class OldShape:
    """A shape as `argument` had it, which InputLayer takes as `becomes`."""

    argument: str
    becomes: str
    shape: Any


def take_input_shape(layer: Any, at: Place) -> tuple[Any, OldShape | None]:
    """The first layer without its input shape, and that shape; None where it had none.

    Keras 2 took `input_shape`, `input_dim`, `batch_input_shape`, and on Embedding `input_length`.
    """
    if not isinstance(layer, dict) or not isinstance(layer.get("config"), dict) or layer.get("class_name") in _INPUTS:
        return layer, None
    config = dict(layer["config"])
    found: OldShape | None = None
    for argument in _shape_arguments(layer.get("class_name")):
        value = config.pop(argument, None)
        if value is None:
            continue
        (at / "config" / argument).notice(NoticeCode.TRANSLATED, f"{argument!r} is read as an InputLayer in front.")
        if argument == "batch_input_shape":
            found = OldShape(argument, "batch_shape", value)
        else:
            found = OldShape(argument, "shape", _as_shape(value))
    return {**layer, "config": config}, found


def drop_input_shape(layer: Any, at: Place) -> Any:
    """The same for a layer that is not the first, where Keras has always ignored it."""
    if not isinstance(layer, dict) or not isinstance(layer.get("config"), dict):
        return layer
    config = dict(layer["config"])
    for argument in _shape_arguments(layer.get("class_name")):
        if config.pop(argument, None) is not None:
            (at / "config" / argument).notice(
                NoticeCode.IGNORED, f"{argument!r} counts on the first layer only and is left out."
            )
    return {**layer, "config": config}


def _shape_arguments(class_name: Any) -> tuple[str, ...]:
    if class_name in ("Embedding", "ReversibleEmbedding"):  # its `input_dim` is the size of the vocabulary
        return ("batch_input_shape", "input_shape", "input_length")
    return ("batch_input_shape", "input_shape", "input_dim")


def _as_shape(value: Any) -> Any:
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


# --- Names of logged values ----------------------------------------------------------------------------------------

_ALSO_LOGGED_AS: Final = {"acc": "accuracy", "accuracy": "acc", "lr": "learning_rate", **NAMES}


def logged_as(name: str, names: Collection[str]) -> str:
    """The name among those logged that an old name of it means, or that was meant for it; else the name itself."""
    prefix = "val_" if name.startswith("val_") else ""
    other = prefix + _ALSO_LOGGED_AS.get(name.removeprefix(prefix), "")
    return other if name not in names and other in names else name


# --- Names of checkpoint files -------------------------------------------------------------------------------------

_OLD_ENDINGS: Final = (".weights.h5", ".hdf5", ".hdf", ".h5")


def _translate_filepath(config: dict[str, Any], at: Place) -> dict[str, Any]:
    """`.h5` and `.hdf5` say nothing in Keras 3 about what is inside; its own endings do."""
    filepath = config.get("filepath")
    right = ".weights.h5" if config.get("save_weights_only") is True else ".keras"
    if not isinstance(filepath, str) or filepath.endswith(right):
        return config
    ending = next((old for old in _OLD_ENDINGS if filepath.endswith(old)), None)
    if ending is None:
        return config
    translated = filepath.removesuffix(ending) + right
    (at / "filepath").notice(NoticeCode.TRANSLATED, f"The ending {ending!r} is read as {right!r}, as in Keras 3.")
    return {**config, "filepath": translated}
