"""One thread for each process that computes: two tests at a time share two cores, and the bits of a test stay."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before anything imports torch
