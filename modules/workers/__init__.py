"""Processes of their own for everything that needs torch: JSON and paths in, JSON out."""
