"""`fitqueue doctor`: is this machine fit to be a worker's?"""
