"""Learning-rate schedules: one class a file, a factor on the learning rate for each moment of a training."""
