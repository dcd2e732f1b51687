"""Hostile jobs whose layers take the memory."""

from collections.abc import Iterator

from benchmarks.memory_trial.making import DENSE, MEAN_1D, MEAN_2D, MEAN_3D, Job, Layers, functional, job


def layers_jobs() -> Iterator[Job]:
    images: dict[str, Layers] = {
        "two Conv2D": [("Conv2D", {"filters": 64, "kernel_size": 3, "activation": "relu"})] * 2,
        "Conv2D and BatchNormalization": [
            ("Conv2D", {"filters": 64, "kernel_size": 3}),
            ("BatchNormalization", {}),
            ("ReLU", {}),
        ],
        "a large kernel": [("Conv2D", {"filters": 8, "kernel_size": 25})],
        "Conv2DTranspose": [("Conv2DTranspose", {"filters": 16, "kernel_size": 3, "strides": 4})],
        "SeparableConv2D": [("SeparableConv2D", {"filters": 64, "kernel_size": 3})],
        "DepthwiseConv2D": [("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 32})],
        "UpSampling2D": [("UpSampling2D", {"size": 8})],
        "UpSampling2D, bilinear": [("UpSampling2D", {"size": 8, "interpolation": "bilinear"})],
        "UpSampling2D behind weights": [("Conv2D", {"filters": 4, "kernel_size": 1}), ("UpSampling2D", {"size": 6})],
        "ZeroPadding2D": [("ZeroPadding2D", {"padding": 200})],
        "Resizing": [("Resizing", {"height": 500, "width": 500})],
        "RandomRotation": [("Resizing", {"height": 300, "width": 300}), ("RandomRotation", {"factor": 0.2})],
        "RandomZoom": [("Resizing", {"height": 300, "width": 300}), ("RandomZoom", {"height_factor": 0.2})],
        "RandomContrast": [("Resizing", {"height": 300, "width": 300}), ("RandomContrast", {"factor": 0.2})],
        "LayerNormalization": [("Conv2D", {"filters": 64, "kernel_size": 1}), ("LayerNormalization", {})],
        "GroupNormalization": [("Conv2D", {"filters": 64, "kernel_size": 1}), ("GroupNormalization", {"groups": 8})],
        "gelu": [("Conv2D", {"filters": 64, "kernel_size": 1, "activation": "gelu"})],
        "swish": [("Conv2D", {"filters": 64, "kernel_size": 1, "activation": "swish"})],
        "Dropout": [("Conv2D", {"filters": 64, "kernel_size": 1}), ("Dropout", {"rate": 0.5})],
        "GaussianNoise": [("Conv2D", {"filters": 64, "kernel_size": 1}), ("GaussianNoise", {"stddev": 0.5})],
        "MaxPooling2D": [("Conv2D", {"filters": 64, "kernel_size": 1}), ("MaxPooling2D", {})],
        "PReLU": [("Conv2D", {"filters": 32, "kernel_size": 1}), ("PReLU", {})],
    }
    for name, layers in images.items():
        yield job(name, [*layers, MEAN_2D, DENSE], (96, 96, 3))
    yield job("Conv3D", [("Conv3D", {"filters": 16, "kernel_size": 3}), MEAN_3D, DENSE], (32, 32, 32, 2), batch=16)
    yield job("UpSampling3D", [("UpSampling3D", {"size": 4}), MEAN_3D, DENSE], (24, 24, 24, 1), batch=16)
    yield job("many layers", [("Dense", {"units": 16})] * 100 + [DENSE], (16,))
    yield job("RepeatVector", [("RepeatVector", {"n": 20_000}), MEAN_1D, DENSE], (100,))
    yield job(
        "RepeatVector behind weights",
        [("Dense", {"units": 100}), ("RepeatVector", {"n": 10_000}), MEAN_1D, DENSE],
        (100,),
    )
    yield job(
        "EinsumDense",
        [("EinsumDense", {"equation": "abc,cd->abd", "output_shape": [None, 500]}), MEAN_1D, DENSE],
        (2000, 8),
    )
    yield job(
        "a wide softmax",
        [("Dense", {"units": 500_000, "activation": "softmax"})],
        (4,),
        target=((), "int64"),
        compile={"loss": "sparse_categorical_crossentropy"},
    )
    yield job("a wide Dense", [("Dense", {"units": 300_000, "activation": "relu"}), DENSE], (4,))


def sequences_jobs() -> Iterator[Job]:
    for kind in ("LSTM", "GRU", "SimpleRNN"):
        for units, steps in ((64, 400), (256, 100)):
            yield job(
                f"{kind} of {units} units",
                [(kind, {"units": units, "return_sequences": True}), MEAN_1D, DENSE],
                (steps, 8),
            )
    yield job(
        "a Bidirectional LSTM",
        [("Bidirectional", {"layer": {"class_name": "LSTM", "config": {"units": 64}}}), DENSE],
        (300, 8),
    )
    yield job("an unrolled LSTM", [("LSTM", {"units": 64, "unroll": True}), DENSE], (100, 8))
    yield job(
        "two LSTMs", [("LSTM", {"units": 64, "return_sequences": True}), ("LSTM", {"units": 64}), DENSE], (300, 8)
    )
    yield job("an LSTM of any length", [("LSTM", {"units": 64}), DENSE], (None, 8), sample=(400, 8))
    yield job(
        "ConvLSTM2D", [("ConvLSTM2D", {"filters": 8, "kernel_size": 3}), MEAN_2D, DENSE], (16, 32, 32, 1), batch=16
    )
    yield job(
        "Conv1D of any length",
        [("Conv1D", {"filters": 64, "kernel_size": 3}), MEAN_1D, DENSE],
        (None, 2),
        sample=(20_000, 2),
    )
    yield job(
        "TimeDistributed",
        [("TimeDistributed", {"layer": {"class_name": "Dense", "config": {"units": 200}}}), MEAN_1D, DENSE],
        (100, 4),
    )
    for length in (400, 1000):
        yield functional(
            f"MultiHeadAttention over {length}", "MultiHeadAttention", {"num_heads": 4, "key_dim": 8}, (length, 8), 8
        )
        yield functional(f"Attention over {length}", "Attention", {}, (length, 8), 8)
        yield functional(f"AdditiveAttention over {length // 4}", "AdditiveAttention", {}, (length // 4, 8), 8)
        yield functional(
            f"GroupQueryAttention over {length}",
            "GroupQueryAttention",
            {"head_dim": 8, "num_query_heads": 4, "num_key_value_heads": 2},
            (length, 8),
            8,
        )


def constants_jobs() -> Iterator[Job]:
    for bins, fft in ((5000, 8192), (10_000, 4096), (2000, 16_384)):
        config = {"fft_length": fft, "sequence_stride": 4096, "num_mel_bins": bins, "sampling_rate": 16_000}
        yield job(f"MelSpectrogram of {bins} bins", [("MelSpectrogram", config), MEAN_1D, DENSE], (32_000,), batch=8)
    for fft in (2048, 4096):
        config = {"fft_length": fft, "frame_length": fft, "frame_step": 1024}
        yield job(f"STFTSpectrogram of {fft}", [("STFTSpectrogram", config), MEAN_1D, DENSE], (32_000, 1), batch=8)
    for tokens in (20_000, 100_000):
        yield job(
            f"CategoryEncoding of {tokens}", [("CategoryEncoding", {"num_tokens": tokens}), DENSE], (4,), dtype="int32"
        )
        yield job(
            f"Hashing, one_hot of {tokens}",
            [("Hashing", {"num_bins": tokens, "output_mode": "one_hot"}), DENSE],
            (1,),
            dtype="int32",
        )
    yield job(
        "CategoryEncoding of many values",
        [("CategoryEncoding", {"num_tokens": 5000, "output_mode": "count"}), DENSE],
        (200,),
        dtype="int32",
    )
    yield job(
        "Discretization, one_hot",
        [("Discretization", {"bin_boundaries": [float(n) for n in range(5000)], "output_mode": "one_hot"}), DENSE],
        (10,),
    )
    vocabulary = list(range(1, 5001))
    yield job(
        "IntegerLookup, one_hot",
        [("IntegerLookup", {"vocabulary": vocabulary, "output_mode": "multi_hot"}), DENSE],
        (50,),
        dtype="int64",
    )
    yield job(
        "Normalization with arrays",
        [("Normalization", {"mean": [0.5] * 3, "variance": [1.0] * 3}), MEAN_2D, DENSE],
        (200, 200, 3),
    )
    yield job(
        "Normalization over all axes",
        [("Normalization", {"mean": 0.5, "variance": 1.0, "axis": [1, 2, 3]}), MEAN_2D, DENSE],
        (500, 500, 3),
        batch=8,
        samples=16,
    )
    yield job(
        "an adapted Normalization", [("Normalization", {"axis": -1, "adapt": True}), DENSE], (20_000,), samples=1000
    )
