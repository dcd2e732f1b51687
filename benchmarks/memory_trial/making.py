"""What the hostile jobs are made of."""

from typing import Any, Final

from benchmarks.memory_trial.measuring import Arrays

Job = tuple[str, dict[str, Any], Arrays]
Layers = list[tuple[str, dict[str, Any]]]

DENSE: Final = ("Dense", {"units": 1})
FLATTEN: Final = ("Flatten", {})
MEAN_1D: Final = ("GlobalAveragePooling1D", {})
MEAN_2D: Final = ("GlobalAveragePooling2D", {})
MEAN_3D: Final = ("GlobalAveragePooling3D", {})
STEPS: Final = 2


def job(
    name: str,
    layers: Layers,
    shape: tuple[int | None, ...],
    *,
    samples: int = 64,
    batch: int = 32,
    dtype: str = "float32",
    target: tuple[tuple[int, ...], str] = ((1,), "float32"),
    sample: tuple[int, ...] | None = None,
    **parts: Any,
) -> Job:
    """Return a job with a Sequential.

    Args:
        name: what takes the memory.
        layers: class names and configs.
        shape: of the input.
        target: the shape and dtype of a target.
        sample: the shape of a stored sample, if preparation makes another one of it.
        parts: fields to merge into `compile`, `data` and `fit`, and `callbacks`.
    """
    described = [("Input", {"shape": list(shape)}), *layers]
    body = {
        "model": {
            "class_name": "Sequential",
            "config": {"layers": [{"class_name": kind, "config": config} for kind, config in described]},
        },
        "compile": {"optimizer": "sgd", "loss": "mse", **parts.get("compile", {})},
        "data": {"dataset": "zeros", "x": "x", "y": "y", **parts.get("data", {})},
        "fit": {"epochs": 2, "batch_size": batch, "steps_per_epoch": STEPS, **parts.get("fit", {})},
        "callbacks": parts.get("callbacks", []),
    }
    stored = sample if sample is not None else tuple(length or 1 for length in shape)
    return (
        name,
        body,
        {"x": ((samples, *stored), dtype), "y": ((samples, *target[0]), target[1]), **parts.get("more", {})},
    )


def functional(name: str, kind: str, config: dict[str, Any], shape: tuple[int, ...], batch: int) -> Job:
    """Return a job with a layer that is called on the same tensor twice, behind a Dense."""
    _, body, arrays = job(name, [], shape, batch=batch)

    def symbol(layer: str) -> dict[str, Any]:
        return {
            "class_name": "__keras_tensor__",
            "config": {"shape": [None, *shape], "dtype": "float32", "keras_history": [layer, 0, 0]},
        }

    def layer(label: str, class_name: str, options: dict[str, Any], args: list[Any]) -> dict[str, Any]:
        nodes = [{"args": args, "kwargs": {}}] if args else []
        return {"class_name": class_name, "name": label, "config": {"name": label, **options}, "inbound_nodes": nodes}

    twice = [[symbol("d"), symbol("d")]] if kind in ("Attention", "AdditiveAttention") else [symbol("d"), symbol("d")]
    layers = [
        layer("i", "InputLayer", {"batch_shape": [None, *shape]}, []),
        layer("d", "Dense", {"units": shape[-1]}, [symbol("i")]),
        layer("a", kind, config, twice),
        layer("p", "GlobalAveragePooling1D", {}, [symbol("a")]),
        layer("o", "Dense", {"units": 1}, [symbol("p")]),
    ]
    body["model"] = {
        "class_name": "Functional",
        "config": {"layers": layers, "input_layers": [["i", 0, 0]], "output_layers": [["o", 0, 0]]},
    }
    return name, body, arrays
