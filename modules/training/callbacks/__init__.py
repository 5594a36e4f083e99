"""What happens around the batches of a training."""
