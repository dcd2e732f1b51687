"""A plain Keras script: goes on with trained models that are kept in files, and writes what the tests compare.

Usage: goes_on.py DIGITS_NPZ EPOCHS SEED FOLDER…

Each folder has a model, how it is compiled, its weights with the optimizer, and its states. The script trains the model
and writes all of its variables into the folder. It prints the losses of each model.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

from fitqueue.model_states import states

digits, epochs, seed, *folders = sys.argv[1:]
arrays = np.load(digits)


def go_on(folder):
    keras.utils.set_random_seed(int(seed))
    compiled = json.loads((folder / "compile.json").read_text())
    keras.config.set_dtype_policy(compiled["dtype_policy"])
    model = keras.models.model_from_json((folder / "model.json").read_text())
    model.compile(optimizer=keras.optimizers.deserialize(compiled["optimizer"]), loss=compiled["loss"])
    model.optimizer.build(model.trainable_variables)
    model.load_weights(folder / "a.weights.h5")
    with np.load(folder / "states.npz") as stored:
        for variable, name in zip(states(model), stored.files, strict=True):
            variable.assign(stored[name])
    losses = model.fit(arrays["x"] * 0.0625, arrays["y"], batch_size=64, epochs=int(epochs), shuffle=False, verbose=0)
    variables = [*model.weights, *states(model), *model.optimizer.variables]
    np.savez(folder / "variables.npz", *[variable.numpy() for variable in variables])
    return losses.history["loss"]


json.dump([go_on(Path(folder)) for folder in folders], sys.stdout)
