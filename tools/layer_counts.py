"""The number of layers of each architecture of `keras.applications`, which counts towards the limit of a model.

It is a table, because building all of them takes half a minute. A test counts some of them. After an update of Keras,
`python -m tools.layer_counts` counts all of them and prints the table.
"""

LAYERS: dict[str, int] = {
    "ConvNeXtBase": 261,
    "ConvNeXtLarge": 261,
    "ConvNeXtSmall": 261,
    "ConvNeXtTiny": 135,
    "ConvNeXtXLarge": 261,
    "DenseNet121": 429,
    "DenseNet169": 597,
    "DenseNet201": 709,
    "EfficientNetB0": 240,
    "EfficientNetB1": 342,
    "EfficientNetB2": 342,
    "EfficientNetB3": 387,
    "EfficientNetB4": 477,
    "EfficientNetB5": 579,
    "EfficientNetB6": 669,
    "EfficientNetB7": 816,
    "EfficientNetV2B0": 273,
    "EfficientNetV2B1": 337,
    "EfficientNetV2B2": 352,
    "EfficientNetV2B3": 412,
    "EfficientNetV2L": 1031,
    "EfficientNetV2M": 743,
    "EfficientNetV2S": 516,
    "InceptionResNetV2": 782,
    "InceptionV3": 313,
    "MobileNet": 91,
    "MobileNetV2": 156,
    "MobileNetV3Large": 194,
    "MobileNetV3Small": 164,
    "NASNetLarge": 1041,
    "NASNetMobile": 771,
    "ResNet101": 347,
    "ResNet101V2": 379,
    "ResNet152": 517,
    "ResNet152V2": 566,
    "ResNet50": 177,
    "ResNet50V2": 192,
    "VGG16": 23,
    "VGG19": 26,
    "Xception": 134,
}


def count_layers(name: str) -> int:
    """Return the number of layers of one architecture, as Keras builds it by default."""
    import keras

    with keras.StatelessScope(initialize_variables=False):
        return len(getattr(keras.applications, name)(weights=None).layers)


if __name__ == "__main__":
    print({name: count_layers(name) for name in LAYERS})
