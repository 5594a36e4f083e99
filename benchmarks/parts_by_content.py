"""Do the groups behind the parts of the data hold near-duplicates together without growing huge?

    python -m benchmarks.parts_by_content mnist=DIR fashion_mnist=DIR

For each set: how many groups there are, the largest, the parts that came out, and how often an image keeps its group
when it is recompressed, made noisy, dimmed or moved by a pixel (2,000 images, seed 0). Ten seconds on one core.
"""

import io
import sys

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modules.data.known import read_fashion_mnist, read_mnist
from modules.data.parts import PARTS, assign_parts, group_keys

READERS = {"mnist": read_mnist, "fashion_mnist": read_fashion_mnist}


def recompressed(images: NDArray[np.uint8], quality: int = 90) -> NDArray[np.uint8]:
    results = []
    for image in images[..., 0]:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        results.append(np.asarray(Image.open(buffer)))
    return np.stack(results)[..., None]


def variants(images: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    noise = np.random.default_rng(0).normal(0, 1, images.shape)
    return {
        "JPEG of quality 90": recompressed(images),
        "noise of 1 grey level": np.clip(np.rint(images + noise), 0, 255).astype(np.uint8),
        "dimmed by 2 %": np.rint(images * 0.98).astype(np.uint8),
        "moved by a pixel": np.roll(images, 1, axis=2),
        "mirrored": images[:, :, ::-1],
    }


def main(arguments: list[str]) -> None:
    for name, root in (argument.split("=", 1) for argument in arguments):
        images = READERS[name](root).read().train_images
        keys = group_keys(images)
        sizes = np.unique(keys, return_counts=True)[1]
        alone = (sizes == 1).sum() / len(images)
        print(f"{name}: {len(images)} images, {len(sizes)} groups, the largest {sizes.max()}, {alone:.1%} alone")
        for split_seed in range(3):
            parts = assign_parts(
                keys, steer_fraction=0.1, confirm_fraction=0.1, test_fraction=0.2, split_seed=split_seed
            )
            shares = np.bincount(parts, minlength=len(PARTS)) / len(parts)
            said = ", ".join(f"{part} {share:.2%}" for part, share in zip(PARTS, shares, strict=True))
            print(f"  split seed {split_seed}: {said}")
        chosen = np.random.default_rng(0).choice(len(images), 2000, replace=False)
        for variant, changed in variants(images[chosen]).items():
            print(f"  {variant}: {np.mean(group_keys(changed) == keys[chosen]):.1%} keep their group")


if __name__ == "__main__":
    main(sys.argv[1:])
