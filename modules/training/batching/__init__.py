"""Batch sizes that change while training: one class a file, a pure function of the first size and the progress."""
