"""The fields of a job apart from its Keras objects: data, compiling and fitting, and the names that a training logs."""
