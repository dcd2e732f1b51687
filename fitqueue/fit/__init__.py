"""What `client.fit` does: a Keras model, its callbacks and its data become a job, and the job becomes a History.

Neither Keras nor TensorFlow is imported here. The caller's model comes from one of them, which is used.
"""
