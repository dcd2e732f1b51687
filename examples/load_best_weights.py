"""Load weights that the service trained into a model in plain Keras, and measure its accuracy.

Usage: python examples/load_best_weights.py var/digits.weights.h5
"""

import os
import sys
from importlib.resources import files

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras.layers import Conv2D, Dense, Flatten, Input, MaxPooling2D

DIGITS = files("fitqueue") / "datasets" / "digits.npz"  # the data set `digits` comes with the package

model = keras.Sequential(
    [
        Input((8, 8, 1)),
        Conv2D(32, (5, 5), activation="relu", padding="same"),
        MaxPooling2D((2, 2), strides=2, padding="same"),
        Conv2D(64, (5, 5), activation="relu", padding="same"),
        MaxPooling2D((2, 2), strides=2, padding="same"),
        Flatten(),
        Dense(1024, activation="relu"),
        Dense(10, activation="softmax"),
    ]
)
model.load_weights(sys.argv[1])

with DIGITS.open("rb") as file, np.load(file) as digits:
    images, labels = digits["x_test"].reshape(-1, 8, 8, 1) / 16, digits["y_test"]
predicted = model.predict(images, verbose=0).argmax(axis=1)
print(f"Accuracy on the {len(labels)} validation images: {(predicted == labels).mean():.4f}")
