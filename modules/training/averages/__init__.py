"""Averages of the weights: one class a file, how far the average moves after each update, and nothing else."""
