"""The names that Keras exports and a job may not use, each with the reason. Every other name has typed arguments."""

BASE = "It is a base class for classes written in Python, and does nothing itself."
CODE = "It runs Python code, and the service never runs users' code."
STRINGS = "It works on strings, and the arrays of a job hold numbers."
PATHS = "It writes to a path in its config, and a job cannot name files."
QUANTIZED = "It is for models that are quantized after training."
EVERY_TRAINING = "Keras adds it to every training."

LEFT_OUT: dict[str, dict[str, str]] = {
    "layers": {
        "Lambda": CODE,
        "TFSMLayer": "It loads a program from a file, and a job cannot name files.",
        "JaxLayer": CODE,
        "FlaxLayer": CODE,
        "TorchModuleWrapper": CODE,
        "Layer": BASE,
        "Wrapper": BASE,
        "InputSpec": "It describes the input of a layer, and is not a layer.",
        "StringLookup": STRINGS + " IntegerLookup does the same for whole numbers.",
        "TextVectorization": STRINGS + " Turn text into numbers first, and use Embedding.",
        "Equalization": "Keras 3.15 cannot build a model with it: «… is part of a cycle».",
        "MaxNumBoundingBoxes": "It works on bounding boxes beside images, and the arrays of a job have none.",
    },
    "optimizers": {
        "Optimizer": BASE,
        "MultiOptimizer": "It finds variables by regular expressions, which can run forever, and has no learning rate.",
        "OptimizerMap": "It is a part of MultiOptimizer, and not an optimizer.",
    },
    "schedules": {"LearningRateSchedule": BASE},
    "losses": {"Loss": BASE},
    "metrics": {
        "Metric": BASE,
        "MeanMetricWrapper": CODE,
        "Mean": "It averages values, and a metric of a job compares predictions with targets.",
        "Sum": "It adds values up, and a metric of a job compares predictions with targets.",
    },
    "initializers": {"Initializer": BASE},
    "regularizers": {"Regularizer": BASE},
    "constraints": {"Constraint": BASE},
    "dtype_policies": {
        "DTypePolicyMap": "It names layers by their paths; give each layer its own `dtype`.",
        "QuantizedDTypePolicy": QUANTIZED,
        "QuantizedFloat8DTypePolicy": QUANTIZED,
        "Int4DTypePolicy": QUANTIZED,
        "GPTQDTypePolicy": QUANTIZED,
        "AWQDTypePolicy": QUANTIZED,
    },
    "callbacks": {
        "Callback": BASE,
        "LambdaCallback": CODE,
        "RemoteMonitor": "It sends requests to an address in its config. Follow the job's events instead.",
        "OrbaxCheckpoint": PATHS + " Use ModelCheckpoint instead.",
        "CallbackList": "It is Keras's own list of callbacks; a job lists its callbacks in `callbacks`.",
        "History": EVERY_TRAINING,
        "ProgbarLogger": EVERY_TRAINING,
    },
    "applications": {},
    "activations": {
        "PReLU": "As an activation it gets its weights only in the first batch, too late to save or restore them. Put "
        "it behind the layer, as a layer of its own.",
    },
}
