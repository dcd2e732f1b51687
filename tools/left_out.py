"""What Keras exports and a job may not name, with the reason. What is not here has a type for each of its arguments."""

BASE = "It is a base for classes written in Python, and does nothing itself."
CODE = "It runs Python code, and no code of users is ever run."
STRINGS = "It works on strings, and the arrays of a job hold numbers."
PATHS = "It writes where it is told, and no path of a job reaches a file."
QUANTIZED = "It is for models quantized after training."
EVERY_TRAINING = "Every training has one by itself."

LEFT_OUT: dict[str, dict[str, str]] = {
    "layers": {
        "Lambda": CODE,
        "TFSMLayer": "It loads a program from a file, and no path of a job reaches a file.",
        "JaxLayer": CODE,
        "FlaxLayer": CODE,
        "TorchModuleWrapper": CODE,
        "Layer": BASE,
        "Wrapper": BASE,
        "InputSpec": "It describes a layer's input and is no layer.",
        "StringLookup": STRINGS + " IntegerLookup does the same for whole numbers.",
        "TextVectorization": STRINGS + " Turn text into numbers first, and use Embedding.",
        "Equalization": "Keras 3.15 cannot build a model with it: «… is part of a cycle».",
        "MaxNumBoundingBoxes": "It works on boxes that travel beside images, and a job's arrays have none.",
    },
    "optimizers": {
        "Optimizer": BASE,
        "MultiOptimizer": "It finds variables by regular expressions, which can run forever, and has no learning rate.",
        "OptimizerMap": "It is a part of MultiOptimizer and no optimizer.",
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
        "RemoteMonitor": "It sends to an address of its config. Follow the job's events instead.",
        "OrbaxCheckpoint": PATHS + " ModelCheckpoint does the same.",
        "CallbackList": "It is Keras's own list of callbacks; a job's list stands in `callbacks`.",
        "History": EVERY_TRAINING,
        "ProgbarLogger": EVERY_TRAINING,
    },
    "applications": {},
    "activations": {
        "PReLU": "As an activation it gets its weights in the first batch only, too late to save or go on from them. "
        "Put it behind the layer, as a layer.",
    },
}
