"""Folders of few photographs, drawn from a folder of many: train/CLASS/FILE and test/CLASS/FILE."""

import shutil
from pathlib import Path

import numpy as np

from modules.randomness import uniform


def draw_photographs(root: Path, folder: Path, per_class: int, draw: int, num_test: int | None = None) -> Path:
    """A folder with so many training images of each class, drawn by luck, and the test images of all draws.

    `num_test` of them, of each class alike; None: all.
    """
    classes = sorted(path.name for path in (root / "train").iterdir() if path.is_dir())
    for name in classes:
        _copy(root / "train" / name, folder / "train" / name, per_class, draw)
        _copy(root / "test" / name, folder / "test" / name, None if num_test is None else num_test // len(classes), 0)
    return folder


def _copy(source: Path, target: Path, number: int | None, draw: int) -> None:
    files = sorted(source.iterdir())
    order = np.argsort(uniform("photographs", draw, source.name, np.arange(len(files), dtype=np.uint64)))
    target.mkdir(parents=True)
    for index in order[:number]:
        shutil.copyfile(files[index], target / files[index].name)
