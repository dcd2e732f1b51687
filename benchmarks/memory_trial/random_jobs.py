"""Random jobs: stacks of layers on signals, images and words, each time the same for the same seed.

The constants of the estimate were found with the other jobs of the trial and with those of seed 11. Other seeds say how
good they are for jobs that nobody has looked at.
"""

import random
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.memory_trial.making import DENSE, MEAN_1D, MEAN_2D, Job, Layers, job

ACTIVATIONS: Final = ("relu", "gelu", "tanh")
OPTIMIZERS: Final = ("sgd", "adam", "rmsprop")


def random_jobs(seed: int, count: int) -> Iterator[Job]:
    """Yield stacks of one-dimensional layers."""
    draw = random.Random(seed)
    plain = [
        lambda: ("Conv1D", {"filters": draw.choice([8, 32]), "kernel_size": 3, "activation": draw.choice(ACTIVATIONS)}),
        lambda: ("LSTM", {"units": draw.choice([16, 64]), "return_sequences": True}),
        lambda: ("Dense", {"units": draw.choice([32, 128])}),
        lambda: ("LayerNormalization", {}),
        lambda: ("BatchNormalization", {}),
        lambda: ("UpSampling1D", {"size": 2}),
        lambda: ("SeparableConv1D", {"filters": 32, "kernel_size": 5, "padding": "same"}),
        lambda: ("GaussianDropout", {"rate": 0.3}),
    ]  # fmt: skip
    for number in range(count):
        layers: Layers = [draw.choice(plain)() for _ in range(draw.randint(2, 5))]
        yield job(
            f"random stack {number}",
            [*layers, MEAN_1D, DENSE],
            (draw.choice([100, 300, 600]), 8),
            batch=draw.choice([16, 32, 64]),
            compile={"optimizer": draw.choice(OPTIMIZERS)},
        )


def held_out_jobs(seed: int, count: int) -> Iterator[Job]:
    """Yield as many random jobs, in turn on signals, images, words and tables."""
    draw = random.Random(seed)
    signals = random_jobs(seed, count)
    kinds = (lambda _: next(signals), lambda number: _images(draw, number), lambda number: _words(draw, number),
             lambda number: _tables(draw, number))  # fmt: skip
    for number in range(count):
        yield kinds[number % len(kinds)](number)


def _images(draw: random.Random, number: int) -> Job:
    layers: Layers = []
    for _ in range(draw.randint(1, 4)):
        filters, size = draw.choice([8, 24, 64]), draw.choice([1, 3, 5])
        config: dict[str, Any] = {"filters": filters, "kernel_size": size, "padding": "same"}
        layers.append((draw.choice(["Conv2D", "Conv2D", "SeparableConv2D"]), config))
        layers += draw.choice(
            [[("BatchNormalization", {}), ("ReLU", {})], [("Activation", {"activation": draw.choice(ACTIVATIONS)})],
             [("Dropout", {"rate": 0.2})], [("LayerNormalization", {})], []]
        )  # fmt: skip
        layers += draw.choice([[("MaxPooling2D", {})], [("AveragePooling2D", {})], []])
    before: Layers = draw.choice([[], [("Rescaling", {"scale": 0.01})], [("RandomFlip", {})], [("ZeroPadding2D", {})]])
    size, batch = draw.choice([32, 64, 128]), draw.choice([16, 32])
    compiled = {"optimizer": draw.choice(OPTIMIZERS)}
    end = draw.choice([MEAN_2D, ("GlobalMaxPooling2D", {}), ("Flatten", {})])
    return job(
        f"random images {number}", [*before, *layers, end, DENSE], (size, size, 3), batch=batch, compile=compiled
    )


def _words(draw: random.Random, number: int) -> Job:
    length, words, units = draw.choice([50, 200, 500]), draw.choice([1000, 30_000]), draw.choice([16, 128])
    recurrent = draw.choice(["LSTM", "GRU", "SimpleRNN"])
    ends: list[Layers] = [
        [(recurrent, {"units": units})],
        [("Bidirectional", {"layer": {"class_name": recurrent, "config": {"units": units}}})],
        [("Conv1D", {"filters": units, "kernel_size": 7}), ("GlobalMaxPooling1D", {})],
        [("GlobalAveragePooling1D", {}), ("Dense", {"units": units, "activation": "relu"}), ("Dropout", {"rate": 0.5})],
    ]
    embedding = ("Embedding", {"input_dim": words, "output_dim": draw.choice([32, 256])})
    layers: Layers = [embedding, *draw.choice(ends), DENSE]
    compiled = {"optimizer": draw.choice(OPTIMIZERS)}
    batch = draw.choice([16, 32])
    return job(f"random words {number}", layers, (length,), batch=batch, dtype="int32", compile=compiled)


def _tables(draw: random.Random, number: int) -> Job:
    layers: Layers = []
    for _ in range(draw.randint(1, 6)):
        layers.append(("Dense", {"units": draw.choice([64, 512, 4000]), "activation": draw.choice(ACTIVATIONS)}))
        layers += draw.choice([[("Dropout", {"rate": 0.3})], [("BatchNormalization", {})], []])
    samples = draw.choice([500, 20_000, 200_000])
    return job(
        f"random table {number}",
        [*layers, DENSE],
        (draw.choice([10, 100, 400]),),
        samples=samples,
        batch=draw.choice([32, 256]),
        dtype=draw.choice(["float32", "float64", "uint8"]),
        fit={"validation_split": draw.choice([0.0, 0.2]), "validation_steps": 2},
        compile={"optimizer": draw.choice(OPTIMIZERS)},
    )
