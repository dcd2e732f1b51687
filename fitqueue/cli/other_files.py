"""What is submitted by mistake in place of a job, and the lines that make a job or a data set of it."""

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

_PLAIN: Final = re.compile(r"[\w./+@,=-]+")
"""Names that a shell and Python read as they are. For others, the lines say FILE."""

_OTHER_FIELDS: Final = (
    "'compile': {'optimizer': 'adam', 'loss': 'sparse_categorical_crossentropy'}, "
    "'data': {'dataset': 'digits', 'x': 'x_train', 'y': 'y_train'}, 'fit': {'epochs': 5}"
)
_SUBMIT: Final = "fitqueue submit job.json"


@dataclass(frozen=True)
class Kind:
    """A kind of file that is not a job.

    Attributes:
        description: what it is.
        advice: what to do with it.
        lines: what to type; `{file}` is its name, and `{stem}` its name without the folder and the suffix.
    """

    description: str
    advice: str
    lines: tuple[str, ...] = ()

    def explain(self, name: str) -> str:
        """Return the error for the file with this name."""
        file = name if _PLAIN.fullmatch(name) and not name.startswith("-") else "FILE"
        shown = "The job" if file == "FILE" else file
        lines = [line.replace("{file}", file).replace("{stem}", PurePath(file).stem) for line in self.lines]
        return "\n".join([f"{shown} is {self.description}. {self.advice}", *(f"    {line}" for line in lines)])


def _model(description: str, expression: str, imports: str = "json") -> Kind:
    """Return the kind of a file from which this expression reads a model."""
    advice = "A job also says how to compile and fit the model, and on which data. Change these and submit the job:"
    line = (
        f"python -c \"import {imports}; json.dump({{'model': {expression}, {_OTHER_FIELDS}}}, open('job.json', 'w'))\""
    )
    return Kind(description, advice, (line, _SUBMIT))


MODEL: Final = _model("a Keras model, which is only the part `model` of a job", "json.load(open('{file}'))")
MODEL_IN_A_STRING: Final = _model(
    "a Keras model in a string, which is only the part `model` of a job", "json.loads(json.load(open('{file}')))"
)
SEQUENTIAL_CONFIG: Final = _model(
    "the configuration of a Keras model", "{'class_name': 'Sequential', 'config': json.load(open('{file}'))}"
)
FUNCTIONAL_CONFIG: Final = _model(
    "the configuration of a Keras model", "{'class_name': 'Functional', 'config': json.load(open('{file}'))}"
)
KERAS_MODEL: Final = _model(
    "a saved Keras model (or another zip file), and not a job",
    "json.load(zipfile.ZipFile('{file}').open('config.json'))",
    "json, zipfile",
)
H5_MODEL: Final = _model(
    "a saved Keras model (or another HDF5 file), and not a job",
    "json.loads(keras.saving.load_model('{file}', compile=False).to_json())",
    "json, keras",
)
WEIGHTS: Final = Kind(
    "a file of weights, and not a job",
    'A job can begin with the weights of another job: `"initial_weights": {"job": ID}`. In plain Keras:',
    ("model.load_weights('{file}')",),
)
SCRIPT: Final = Kind(
    "a Python script, and not a job",
    "A job is data, and the service runs no code. In the script, send what it passes to `compile` and `fit`:\n"
    '    fitqueue.Client().submit({"model": json.loads(model.to_json()), "compile": …, "data": …, "fit": …})\n'
    "Then run it:",
    ("python {file}",),
)
NOTEBOOK: Final = Kind(
    "a notebook, and not a job",
    "A job is data, and the service runs no code. In a cell, send what you would pass to `compile` and `fit`:",
    ('fitqueue.Client().submit({"model": json.loads(model.to_json()), "compile": …, "data": …, "fit": …})',),
)
CSV: Final = Kind(
    "a table, and not a job",
    "A data set is an .npz file of numeric arrays. If the last column holds the targets, and the first line names:",
    (
        "python -c \"import numpy; t = numpy.genfromtxt('{file}', delimiter=',', skip_header=1); "
        "numpy.savez('{stem}.npz', x=t[:, :-1], y=t[:, -1])\"",
        "fitqueue dataset add {stem}.npz",
    ),
)
NPZ: Final = Kind("a data set, and not a job", "Upload it, and name it in a job:", ("fitqueue dataset add {file}",))
NPY: Final = Kind(
    "a NumPy array, and not a job",
    "A data set is an .npz file, with the inputs and the targets:",
    (
        "python -c \"import numpy; numpy.savez('data.npz', x=numpy.load('{file}'), y=numpy.load('TARGETS.npy'))\"",
        "fitqueue dataset add data.npz",
    ),
)
PICKLE: Final = Kind(
    "a pickle, and not a job",
    "Loading a pickle runs the code in it, so the service takes none. Write a model with `model.to_json()`, and data "
    "with `numpy.savez`. An example of a job:",
    ("fitqueue submit examples/digits_cnn.json",),
)
YAML: Final = Kind(
    "YAML",
    "A job is JSON:",
    (
        "python -c \"import json, yaml; json.dump(yaml.safe_load(open('{file}')), open('job.json', 'w'))\"",
        _SUBMIT,
    ),
)
TOML: Final = Kind(
    "TOML",
    "A job is JSON:",
    (
        "python -c \"import json, tomllib; json.dump(tomllib.load(open('{file}', 'rb')), open('job.json', 'w'))\"",
        _SUBMIT,
    ),
)
LIST: Final = Kind("a list", "A job is one JSON object. Submit each in a file of its own:", (_SUBMIT,))
JOB_VIEW: Final = Kind(
    "a job as the service shows it",
    "Submit what is in its field `spec`:",
    ("python -c \"import json; json.dump(json.load(open('{file}'))['spec'], open('job.json', 'w'))\"", _SUBMIT),
)
EMPTY: Final = Kind("empty", "An example of a job:", ("fitqueue submit examples/digits_cnn.json",))
