"""Classes of unequal sizes: how often their images are seen, and what they weigh in the loss."""
