import numpy as np
import pytest
import torch

from modules.augmentation.draws import Draws


@pytest.fixture
def batch():
    """Makes random images (float, N x C x H x W) and draws for them."""

    def batch(num=12, channels=1, height=9, width=7, seed=0, channels_last=True):
        random = np.random.default_rng(seed)
        images = torch.from_numpy(random.random((num, channels, height, width), dtype=np.float32))
        layout = torch.channels_last if channels_last else torch.contiguous_format
        identities = random.integers(0, 2**63, num).astype(np.uint64)
        return images.contiguous(memory_format=layout), Draws(seed, 3, identities)

    return batch
