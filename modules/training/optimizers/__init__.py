"""Optimisers that torch does not have as we need them: a class a file, all its state in tensors for each parameter."""
