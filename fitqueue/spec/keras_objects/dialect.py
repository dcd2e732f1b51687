"""The old dialect: what Keras took when the documents were written that people still copy from.

Pure functions over one table. Each translation leaves a notice that says what was read as what.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fitqueue.spec.filepath import is_template
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.report import FaultCode, NoticeCode, Pointer

RECURRENT: Final = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"})
CELLS: Final = frozenset({"LSTMCell", "GRUCell", "SimpleRNNCell"})
EMBEDDINGS: Final = frozenset({"Embedding", "ReversibleEmbedding"})


@dataclass(frozen=True)
class Rule:
    """An argument that Keras once had.

    `becomes` is its present name. Without one it is dropped, but only where its value is in `harmless` (None: any
    value); else `otherwise` says what to do instead. A rule of no `classes` is for all that have no such argument.
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
_NADAM: Final = frozenset({"Nadam"})
_NOT_A_TRAINING_MATTER: Final = "Keras 3 has no such argument."
RULES: Final = (
    Rule("optimizers", "lr", becomes="learning_rate"),
    Rule("optimizers", "is_legacy_optimizer"),
    Rule("optimizers", "jit_compile"),
    # How its momentum decays, which Keras 3 has fixed; `decay` is what tf.keras called it. Neither decays the rate.
    Rule("optimizers", "schedule_decay", _NADAM),
    Rule("optimizers", "decay", _NADAM),
    # The function that the class stands for.
    Rule("losses", "fn"),
    Rule("metrics", "fn"),
    Rule("regularizers", "l", frozenset({"L1"}), becomes="l1"),
    Rule("regularizers", "l", frozenset({"L2"}), becomes="l2"),
    Rule("constraints", "m", frozenset({"MaxNorm"}), becomes="max_value"),
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
    # On layers that are not the first of a Sequential, where they have never counted.
    Rule("layers", "batch_input_shape"),
    Rule("layers", "input_shape"),
    Rule("layers", "input_dim"),
    Rule("layers", "input_length", RECURRENT | EMBEDDINGS),
    Rule("layers", "batch_size"),
    Rule("layers", "weights", harmless=(None,), otherwise="Use `initial_weights` of the job."),
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
    ("constraints", "maxnorm"): "MaxNorm",
    ("constraints", "nonneg"): "NonNeg",
    ("constraints", "unitnorm"): "UnitNorm",
}
"""Classes under names that Keras has given up."""

_MEASURES: Final = {
    "kullback_leibler_divergence": "kl_divergence",
    "cosine_proximity": "cosine_similarity",
    "cosine": "cosine_similarity",
}
NAMES: Final[Mapping[str, Mapping[str, Any]]] = {
    "losses": {**_MEASURES, "logcosh": "log_cosh", "huber_loss": "huber"},
    "metrics": {
        **_MEASURES,
        "kld": "kl_divergence",
        "KLD": "kl_divergence",
        "logcosh": "log_cosh_error",
        "log_cosh": "log_cosh_error",
    },
    # Not Keras 3's l1l2, which does nothing unless it is told how much.
    "regularizers": {"l1_l2": {"class_name": "L1L2", "config": {"l1": 0.01, "l2": 0.01}}},
    "initializers": {name: {"class_name": "Constant", "config": {"value": 0.0}} for name in ("constant", "Constant")},
    "constraints": {"maxnorm": "max_norm", "nonneg": "non_neg", "unitnorm": "unit_norm"},
}
"""By kind: names that Keras has given up, and what they meant: a name of today, or an object."""

OPERATIONS: Final = frozenset({"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "TensorFlowOpLayer"})
"""What Keras 2 wrote for an operation on tensors."""

OPERATION: Final = "An operation on tensors is not accepted; use the layer that does the same, if there is one."


def translate_class(value: dict[str, Any], kind: str, at: Pointer) -> dict[str, Any]:
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


def translate_name(name: str, kind: str, at: Pointer) -> Any:
    """The present name, or the object that an old name stood for."""
    present = NAMES.get(kind, {}).get(name)
    if present is None:
        return name
    shown = repr(present) if isinstance(present, str) else f"{present['class_name']} with {present['config']}"
    at.notice(NoticeCode.TRANSLATED, f"{name!r} is read as {shown}.")
    return present


def translate_arguments(
    kind: str, class_name: str, written: str, config: dict[str, Any], at: Pointer
) -> dict[str, Any]:
    """The config in present words. `written` is the class name as the job had it."""
    config = dict(config)
    for rule in _rules_for(kind, class_name, config):
        if rule.argument in config:
            _apply(rule, config, written, at)
    if kind == "optimizers":
        _translate_decay(class_name, config, at)
    if kind == "losses":
        _translate_reduction(config, at)
    if kind == "layers":
        _translate_axis(class_name, config, at)
        _mention_forget_bias(class_name, config, at)
    if class_name == "InputLayer" and _is_number(config.get("shape")):
        (at / "shape").notice(NoticeCode.TRANSLATED, f"shape {config['shape']} is read as [{config['shape']}].")
        config["shape"] = [config["shape"]]
    if kind == "callbacks":
        _translate_label(config, at)
    if class_name == "ModelCheckpoint":
        config = _translate_filepath(config, at)
    return config


def as_written(kind: str, class_name: str, argument: str, config: dict[str, Any]) -> str:
    """The name that an argument has in the config as it was written: a fault stands where its sender looks for it."""
    rules = _rules_for(kind, class_name, config)
    return next((rule.argument for rule in rules if rule.becomes == argument), argument)


def _rules_for(kind: str, class_name: str, config: dict[str, Any]) -> list[Rule]:
    return [rule for rule in RULES if rule.kind == kind and rule.argument in config and _is_for(rule, class_name)]


def _is_for(rule: Rule, class_name: str) -> bool:
    if rule.classes is not None:
        return class_name in rule.classes
    return rule.argument not in _arguments(rule.kind, class_name)


def _arguments(kind: str, class_name: str) -> Collection[str]:
    """Names of the arguments that a class has today."""
    entry = catalogue.kind(kind).find(class_name)
    return entry.properties if entry is not None else ()


def _apply(rule: Rule, config: dict[str, Any], written: str, at: Pointer) -> None:
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


def _drop(rule: Rule, value: Any, written: str, here: Pointer) -> None:
    if rule.harmless is not None and not any(value is one for one in rule.harmless):
        here.fault(FaultCode.NOT_SUPPORTED, rule.otherwise, received=value, expected="nothing here")
    elif value is not None:
        here.notice(NoticeCode.IGNORED, f"{written}: {rule.argument!r} has no effect in Keras 3 and is left out.")


def _translate_decay(class_name: str, config: dict[str, Any], at: Pointer) -> None:
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
    elif _is_number(rate) and rate <= 0:
        pass  # that is the fault, and is found where the rate stands
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


def _translate_reduction(config: dict[str, Any], at: Pointer) -> None:
    """Outside of tf.distribute, "auto" was this; a job's losses are averaged by the service where it uses that."""
    if config.get("reduction") == "auto":
        config["reduction"] = "sum_over_batch_size"
        (at / "reduction").notice(NoticeCode.TRANSLATED, "'auto' is read as 'sum_over_batch_size'.")


def _translate_axis(class_name: str, config: dict[str, Any], at: Pointer) -> None:
    axis = config.get("axis")
    if class_name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        (at / "axis").notice(NoticeCode.TRANSLATED, f"{axis} is read as {axis[0]}.")
        config["axis"] = axis[0]


_ZEROS: Final = ("zeros", "zero", "Zeros")


def _mention_forget_bias(class_name: str, config: dict[str, Any], at: Pointer) -> None:
    """Documents of 2020 say that `unit_forget_bias` forces the bias to begin with zeros, which Keras has never done."""
    initializer = config.get("bias_initializer", "zeros")
    name = initializer.get("class_name") if isinstance(initializer, dict) else initializer
    if "unit_forget_bias" not in _arguments("layers", class_name) or name in _ZEROS or not config.get("use_bias", True):
        return
    if config.get("unit_forget_bias", True):
        (at / "bias_initializer").notice(
            NoticeCode.SUSPICIOUS,
            "unit_forget_bias sets the forget gate's bias to 1 and leaves the rest to bias_initializer; it does not "
            "force zeros, as older documents say.",
        )


def mentions(value: Any, word: str) -> bool:
    """Whether the word stands anywhere in a value of JSON."""
    if isinstance(value, dict):
        return any(mentions(one, word) for one in value.values())
    return any(mentions(one, word) for one in value) if isinstance(value, list) else value == word


# --- The shape of the input, once an argument of the first layer ---------------------------------------------------


@dataclass(frozen=True)
class OldInput:
    """An argument of an InputLayer, as the first layer of a model once had it.

    `written` names the layer's own argument that held it. Where several did, one for each axis, they are those names,
    and `value` is the list.
    """

    becomes: str
    written: str | tuple[str, ...]
    value: Any


def take_input(layer: Any, at: Pointer) -> tuple[Any, list[OldInput]]:
    """The first layer without what it says of the input's shape, and that; nothing where it says nothing.

    Keras 2 took `input_shape`, `input_dim`, `batch_input_shape`, on Embedding and recurrent layers `input_length`, and
    `batch_size` beside them.
    """
    class_name = present_class(layer.get("class_name")) if isinstance(layer, dict) else None
    if class_name is None or class_name in _INPUTS or not isinstance(layer.get("config"), dict):
        return layer, []
    config, found = _split(layer["config"], _input_arguments(class_name))
    shape = _old_shape(class_name, found)
    if shape is None:
        return layer, []
    for argument in found:
        (at / "config" / argument).notice(NoticeCode.TRANSLATED, f"{argument!r} is read as an InputLayer in front.")
    size = found.get("batch_size")
    if size is None or shape.becomes == "batch_shape":
        return {**layer, "config": config}, [shape]
    return {**layer, "config": config}, [shape, OldInput("batch_size", "batch_size", size)]


_INPUT_ARGUMENTS: Final = ("batch_input_shape", "input_shape", "input_dim", "input_length", "batch_size")


def _input_arguments(class_name: str) -> tuple[str, ...]:
    """Those that are not the layer's own: the `input_dim` of an Embedding is the size of its vocabulary."""
    own = _arguments("applications" if catalogue.is_application(class_name) else "layers", class_name)
    has_length = class_name in RECURRENT | EMBEDDINGS
    return tuple(one for one in _INPUT_ARGUMENTS if one not in own and (one != "input_length" or has_length))


def present_class(class_name: Any) -> str | None:
    """The name that a layer's class has today; None for what is no name."""
    return CLASSES.get(("layers", class_name), class_name) if isinstance(class_name, str) else None


def _split(config: dict[str, Any], arguments: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config without these arguments, and those of them that say something."""
    rest = {name: value for name, value in config.items() if name not in arguments}
    return rest, {name: config[name] for name in arguments if config.get(name) is not None}


def _old_shape(class_name: str, found: Mapping[str, Any]) -> OldInput | None:
    if "batch_input_shape" in found:
        return OldInput("batch_shape", "batch_input_shape", found["batch_input_shape"])
    if "input_shape" in found:
        shape = found["input_shape"]
        axis = _is_number(shape)
        return OldInput("shape", ("input_shape",) if axis else "input_shape", [shape] if axis else shape)
    axes = tuple(one for one in ("input_length", "input_dim") if one in found)
    if not axes:
        return None
    if class_name in RECURRENT:  # time steps, and then what each of them holds
        return OldInput("shape", ("input_length", "input_dim"), [found.get("input_length"), found.get("input_dim")])
    if isinstance(found[axes[0]], list):
        return OldInput("shape", axes[0], found[axes[0]])
    return OldInput("shape", axes, [found[one] for one in axes])


# --- Names of logged values ----------------------------------------------------------------------------------------

_ALSO_LOGGED_AS: Final = {"acc": "accuracy", "accuracy": "acc", "lr": "learning_rate", **NAMES["metrics"]}


def logged_as(name: str, names: Collection[str]) -> str:
    """The name among those logged that an old name of it means, or that was meant for it; else the name itself.

    Before the name of a metric may stand `val_` and, where a model has several, the name of the output.
    """
    if name in names:
        return name
    meant = (name.removesuffix(old) + new for old, new in _ALSO_LOGGED_AS.items() if f"_{name}".endswith(f"_{old}"))
    return next((one for one in meant if one in names), name)


# --- Names of files ------------------------------------------------------------------------------------------------

_OLD_ENDINGS: Final = (".weights.h5", ".hdf5", ".hdf", ".h5")


def _translate_label(config: dict[str, Any], at: Pointer) -> None:
    """The files of a job lie in one folder, its own: there, `./logs/` is `logs`."""
    for argument in ("filepath", "filename", "log_dir"):
        written = config.get(argument)
        if not isinstance(written, str):
            continue
        label = written.removeprefix("./")
        label = label.removesuffix("/") if argument == "log_dir" else label
        if label != written:
            (at / argument).notice(NoticeCode.TRANSLATED, f"{written[:64]!r} is read as {label[:64]!r}.")
            config[argument] = label


def _translate_filepath(config: dict[str, Any], at: Pointer) -> dict[str, Any]:
    """`.h5` and `.hdf5` say nothing in Keras 3 about what is inside; its own endings do.

    What is no template stays as it was sent, for the fault to show it.
    """
    filepath = config.get("filepath")
    right = ".weights.h5" if config.get("save_weights_only") is True else ".keras"
    if not isinstance(filepath, str) or filepath.endswith(right) or not is_template(filepath):
        return config
    ending = next((old for old in _OLD_ENDINGS if filepath.endswith(old)), None)
    if ending is None:
        return config
    translated = filepath.removesuffix(ending) + right
    (at / "filepath").notice(NoticeCode.TRANSLATED, f"The ending {ending!r} is read as {right!r}, as in Keras 3.")
    return {**config, "filepath": translated}
