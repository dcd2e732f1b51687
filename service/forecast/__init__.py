"""When jobs start and end: how long a training still takes, and who starts when. Pure functions, without a clock."""
