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
        description: what it is; `{expected}` is what it should be.
        advice: what to do with it.
        lines: what to type; `{file}` is its name, and `{stem}` its name without the folder and the suffix.
    """

    description: str
    advice: str
    lines: tuple[str, ...] = ()

    def explain(self, name: str, expected: str = "a job") -> str:
        """Return the error for the file with this name, which should be what `expected` says."""
        file = name if _PLAIN.fullmatch(name) and not name.startswith("-") else "FILE"
        nameless = "The job" if expected == "a job" else "The file"
        shown = nameless if file == "FILE" else file
        description = self.description.replace("{expected}", expected)
        advice, *lines = [
            text.replace("{file}", file).replace("{stem}", PurePath(file).stem) for text in (self.advice, *self.lines)
        ]
        return "\n".join([f"{shown} is {description}. {advice}", *(f"    {line}" for line in lines)])


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
    "a saved Keras model (or another zip file), and not {expected}",
    "json.load(zipfile.ZipFile('{file}').open('config.json'))",
    "json, zipfile",
)
H5_MODEL: Final = _model(
    "a saved Keras model (or another HDF5 file), and not {expected}",
    "json.loads(keras.saving.load_model('{file}', compile=False).to_json())",
    "json, keras",
)
WEIGHTS: Final = Kind(
    "a file of weights, and not {expected}",
    'A job can begin with these weights: `"initial_weights": {"dataset": "{stem}"}`. Upload them first:',
    ("fitqueue dataset add {file}",),
)
TENSORFLOW_JS: Final = _model(
    "the model.json of TensorFlow.js, and not {expected}", "json.load(open('{file}'))['modelTopology']['model_config']"
)
TENSORFLOW_JS_TOPOLOGY: Final = _model(
    "the model.json of TensorFlow.js, and not {expected}", "json.load(open('{file}'))['modelTopology']"
)
_EXAMPLE: Final = "fitqueue submit examples/digits_cnn.json"
_WRITE_IN_KERAS: Final = "A job has a Keras model, as `model.to_json()` writes it, and trains it itself. An example:"


def _exported(description: str) -> Kind:
    """Return the kind of a file with a model that Keras cannot train."""
    return Kind(
        f"{description}, which has no Keras layers to train, and not {{expected}}", _WRITE_IN_KERAS, (_EXAMPLE,)
    )


TENSORFLOW_JS_GRAPH: Final = _exported("a graph of TensorFlow.js")
TENSORFLOW_GRAPH: Final = _exported("a graph of TensorFlow (such as a SavedModel)")
TFLITE: Final = _exported("a model of TensorFlow Lite")
ONNX: Final = _exported("an ONNX model")
PYTORCH: Final = Kind("a file of PyTorch, and not {expected}", _WRITE_IN_KERAS, (_EXAMPLE,))
SCRIPT: Final = Kind(
    "a Python script, and not {expected}",
    "A job is data, and the service runs no code. In the script, send what it passes to `compile` and `fit`:\n"
    '    fitqueue.Client().submit({"model": json.loads(model.to_json()), "compile": …, "data": …, "fit": …})\n'
    "Then run it:",
    ("python {file}",),
)
NOTEBOOK: Final = Kind(
    "a notebook, and not {expected}",
    "A job is data, and the service runs no code. In a cell, send what you would pass to `compile` and `fit`:",
    ('fitqueue.Client().submit({"model": json.loads(model.to_json()), "compile": …, "data": …, "fit": …})',),
)
_DATA_SET: Final = "A data set is an .npz file of numeric arrays."
_ADD: Final = "fitqueue dataset add {stem}.npz"


def _table(description: str, expression: str, imports: str, condition: str = "") -> Kind:
    """Return the kind of a file from which this expression reads a table of numbers."""
    line = f"python -c \"import {imports}; t = {expression}; numpy.savez('{{stem}}.npz', x=t[:, :-1], y=t[:, -1])\""
    advice = f"{_DATA_SET} If the last column holds the targets{condition}:"
    return Kind(f"{description}, and not {{expected}}", advice, (line, _ADD))


CSV: Final = _table(
    "a table",
    "numpy.genfromtxt('{file}', delimiter=',', skip_header=1)",
    "numpy",
    ", and the first line names",
)
EXCEL: Final = _table("an Excel file", "pandas.read_excel('{file}').to_numpy('float32')", "numpy, pandas")
PARQUET: Final = _table("a Parquet file", "pandas.read_parquet('{file}').to_numpy('float32')", "numpy, pandas")
TFRECORD: Final = Kind(
    "a file of TFRecords, and not {expected}",
    f"{_DATA_SET} If each record is a `tf.train.Example` of numbers:",
    (
        'python -c "import numpy, tensorflow as tf; '
        "r = [tf.train.Example.FromString(s.numpy()).features.feature for s in tf.data.TFRecordDataset('{file}')]; "
        "numpy.savez('{stem}.npz', **{k: numpy.array([list(e[k].float_list.value) or list(e[k].int64_list.value) "
        'for e in r]) for k in r[0]})"',
        _ADD,
    ),
)
NPZ: Final = Kind(
    "a data set, and not {expected}", "Upload it, and name it in a job:", ("fitqueue dataset add {file}",)
)
NPY: Final = Kind(
    "a NumPy array, and not {expected}",
    "A data set is an .npz file, with the inputs and the targets:",
    (
        "python -c \"import numpy; numpy.savez('data.npz', x=numpy.load('{file}'), y=numpy.load('TARGETS.npy'))\"",
        "fitqueue dataset add data.npz",
    ),
)
PICKLE: Final = Kind(
    "a pickle, and not {expected}",
    "Loading a pickle runs the code in it, so the service takes none. Write a model with `model.to_json()`, and data "
    "with `numpy.savez`. An example of a job:",
    (_EXAMPLE,),
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
EMPTY: Final = Kind("empty", "An example of a job:", (_EXAMPLE,))
