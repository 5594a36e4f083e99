"""What does augmenting a batch cost? Milliseconds (median of 200), one thread, 128 images of 28 x 28.

OMP_NUM_THREADS=1 python -m benchmarks.augmentation_speed
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from modules.augmentation.crop import Crop
from modules.augmentation.drawn import Transform
from modules.augmentation.draws import Draws
from modules.augmentation.erase import Erase
from modules.augmentation.flip import Flip
from modules.augmentation.policy import Policy
from modules.augmentation.rotate import Rotate
from modules.augmentation.scale import Scale
from modules.augmentation.shift import Shift

POLICIES: dict[str, list[Transform]] = {
    "rotate, scale, shift (for_mnist)": [Rotate(), Scale(), Shift()],
    "flip, shift (for_fashion_mnist)": [Flip(), Shift()],
    "shift": [Shift()],
    "flip": [Flip()],
    "crop": [Crop()],
    "erase": [Erase()],
}


def median_ms(function: Callable[[], object], repetitions: int = 200) -> float:
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def main() -> None:
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    draws = Draws(0, 0, random.integers(0, 2**63, 128).astype(np.uint64))
    for channels in (1, 3):
        images = torch.from_numpy(random.random((128, 28, 28, channels), dtype=np.float32)).permute(0, 3, 1, 2)
        for name, transforms in POLICIES.items():
            policy = Policy(transforms)
            print(f"{channels} channels, {name}: {median_ms(partial(policy, images, draws)):.2f} ms")


if __name__ == "__main__":
    main()
