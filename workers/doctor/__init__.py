"""`fitqueue doctor`: checks whether this machine can run a worker."""
