"""The program that reads files of weights from users: `python -m workers.weights_reader`."""
