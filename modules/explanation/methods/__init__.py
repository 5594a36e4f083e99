"""Ways to say which pixels speak for a class: images and targets in, a map an image out."""
