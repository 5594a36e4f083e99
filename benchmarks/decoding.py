"""How fast are image files read, how soon does a second start begin, how much memory does streaming take?

    python -m benchmarks.decoding cifar10=DIR             # some 2 minutes on 2 cores
    python -m benchmarks.decoding --full cifar10=DIR      # three repetitions of each, and the memory of a 2 GB array

DIR holds 60,000 JPEG files of 32 x 32 in train/CLASS and test/CLASS, or an archive of these. The plain loop opens
each file with Pillow and makes an array of it. Ours is all that a study does before its first look: listing, decoding
by as many processes as there are cores into the store, hashes, leaks, parts. `decoding alone` leaves out what comes
after the array is in the store. The system has the files in its cache before each.
Memory is the peak that the process holds
while it makes 4,000 batches of 128 augmented images of an array of 2 GB (RssAnon and RssFile together).
"""

import argparse
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.rows import Row, print_rows
from modules.data.decoded import read_files
from modules.data.folder import read_class_folders
from modules.data.load import load_data
from modules.records import Part
from modules.store import Store

_LEAST_SPEEDUP = 1.5
_MOST_START_SECONDS = 2.0
_MOST_GIGABYTES = 1.0
_BATCHES, _BATCH = 4_000, 128
_ROWS, _SIDE = 220_000, 56  # 2.07 GB of colour images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="cifar10=DIR")
    parser.add_argument("--repetitions", type=int, default=1, help="of each timing")
    parser.add_argument("--full", action="store_true", help="three repetitions, and the memory of streaming")
    parser.add_argument("--memory", metavar="FILE", help=argparse.SUPPRESS)
    arguments = parser.parse_intermixed_args()
    if arguments.memory:
        print(_peak_gigabytes(Path(arguments.memory)))
        return
    name, _, folder = arguments.data.partition("=")
    if name != "cifar10" or not folder:
        parser.error("say cifar10=DIR")
    repetitions = 3 if arguments.full else arguments.repetitions
    with _folders(Path(folder).expanduser()) as root:
        rows = _timings(root, repetitions)
    print_rows([*rows, *([_memory(arguments.data)] if arguments.full else [])])


@contextmanager
def _folders(path: Path) -> Iterator[Path]:
    """The folders of image files, unpacked for the time being where there is only an archive."""
    archives = [path] if path.is_file() else sorted(path.glob("*.tar.gz"))
    if (path / "train").is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archives[0]) as tar:
        tar.extractall(folder, filter="data")
        yield Path(folder)


def _timings(root: Path, repetitions: int) -> list[Row]:
    files = sorted(root.rglob("*.jpg"))
    reader = Part(target="modules.data.cifar10.read_cifar10", arguments={"root": str(root)})
    _plain_loop(files)  # the system now has the files in its cache
    plain, alone, whole, second = [], [], [], []
    for _ in range(repetitions):
        plain.append(_seconds(partial(_plain_loop, files)))
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder) / "alone" / "store")
            found = read_class_folders(root, {given: root / given for given in ("train", "test")}, 32, 3)
            alone.append(_seconds(partial(read_files, found, store)))
            home = Path(folder) / "whole"
            load = partial(load_data, reader, "cifar10", (0.1, 0.1, 0.0), 0, home, Store(home / "store"))
            whole.append(_seconds(load))
            second.append(_seconds(load))
    return [
        _faster(f"decoding alone, {len(files):,} JPEG files, against a plain Pillow loop", plain, alone),
        _faster("reading the set for the first time, against a plain Pillow loop", plain, whole),
        Row(
            figure=f"reading the set again, {len(files):,} unchanged files",
            target=f"< {_MOST_START_SECONDS:g} s",
            value=round(statistics.median(second), 3),
            shown=f"{statistics.median(second):.2f} s",
            met=statistics.median(second) < _MOST_START_SECONDS,
            seeds=f"median of {len(second)}",
            details={"seconds": second},
        ),
    ]


def _plain_loop(files: list[Path]) -> None:
    for file in files:
        with Image.open(file) as image:
            np.asarray(image)


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _faster(figure: str, plain: list[float], ours: list[float]) -> Row:
    speedup = statistics.median(plain) / statistics.median(ours)
    return Row(
        figure=figure,
        target=f"≥ {_LEAST_SPEEDUP:g}×",
        value=round(speedup, 3),
        shown=f"{speedup:.2f}× ({statistics.median(ours):.1f} s against {statistics.median(plain):.1f} s)",
        met=speedup >= _LEAST_SPEEDUP,
        seeds=f"median of {len(ours)}",
        details={"plain_seconds": plain, "seconds": ours},
    )


def _memory(data: str) -> Row:
    """In a process of its own, so that nothing else counts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(_ROWS, _SIDE, _SIDE, 3))
        random = np.random.default_rng(0)
        for first in range(0, _ROWS, 2_000):
            array[first : first + 2_000] = random.integers(0, 256, (2_000, _SIDE, _SIDE, 3), dtype=np.uint8)
        array.flush()
        size = array.nbytes / 1e9
        del array
        command = [sys.executable, "-m", "benchmarks.decoding", data, "--memory", str(path)]
        peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return Row(
        figure=f"peak memory while batches stream from an array of {size:.1f} GB",
        target=f"< {_MOST_GIGABYTES:g} GB",
        value=round(peak, 3),
        shown=f"{peak:.2f} GB, of {_BATCHES:,} batches of {_BATCH}",
        met=peak < _MOST_GIGABYTES,
        seeds="seed 0",
    )


def _peak_gigabytes(path: Path) -> float:
    """What this process held at most while it made augmented batches of the images in a file."""
    from modules.augmentation.policy import build_policy
    from modules.data.arrays import Arrays
    from modules.data.mapped import open_mapped
    from modules.training.batches import TrainingData

    images = open_mapped(path)
    identities = np.arange(len(images), dtype=np.uint64)
    arrays = Arrays(images, np.zeros(len(images), np.int64), np.zeros(len(images), np.uint8), identities)
    policy = build_policy(
        [
            Part(target="modules.augmentation.flip.Flip", arguments={}),
            Part(target="modules.augmentation.shift.Shift", arguments={}),
        ]
    )
    data = TrainingData(arrays, np.arange(len(images)), policy, mixing=None, seed=0, batch_size=_BATCH, first_sample=0)
    for _ in range(_BATCHES):
        for _piece in data.next_batch():
            pass
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e9


if __name__ == "__main__":
    main()
