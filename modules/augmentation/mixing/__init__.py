"""Training on mixtures of the images of a batch: one class a file; labels become shares."""
