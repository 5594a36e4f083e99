"""Image files that are made up."""

from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, height: int = 20, width: int = 20, mode: str = "RGB") -> Image.Image:
    """Smooth random shapes, each seed unlike the others, so that JPEG changes little of them."""
    random = np.random.default_rng(seed)
    channels = len(Image.new(mode, (1, 1)).getbands())
    small = random.integers(0, 256, (5, 5, channels), dtype=np.uint8)
    image = Image.fromarray(small.squeeze(2) if channels == 1 else small)
    if mode == "CMYK":
        image = Image.frombytes("CMYK", (5, 5), small.tobytes())
    return image.resize((width, height), Image.Resampling.BICUBIC)


def write_pictures(root: Path, counts: dict[str, int], suffix: str = "png", first: int = 0, **arguments: int) -> Path:
    """`counts` pictures in folders below `root`, no two alike."""
    seed = first
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture(seed, **arguments).save(root / folder / f"{number:03}.{suffix}")
            seed += 1
    return root
