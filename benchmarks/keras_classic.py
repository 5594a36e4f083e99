"""The classic Keras script for MNIST, as a yardstick: how long does it take to which test accuracy?

Keras needs an environment of its own; nothing of this program is imported:

    python -m venv keras-venv && keras-venv/bin/pip install tensorflow-cpu==2.21.0
    keras-venv/bin/python benchmarks/keras_classic.py mnist=DIR                      # up to 20 epochs, 3 to 6 minutes
    keras-venv/bin/python benchmarks/keras_classic.py mnist=DIR --epochs 2 --train-images 4000      # a look

Two 3x3 convolutions (32, 64; ReLU) with a 2x2 max-pool after each, dense 64, dense 10; SGD at 0.01 with momentum 0.9
and time-based decay of 1e-6, batches of 32, stopped after 5 epochs without a lower validation loss. As in
`experiment=classic_cnn`, validation images come from the training set: the last of a permutation that the seed gives.

Prints a line of JSON an epoch. The test accuracy is looked at after each, since it is what is measured; nothing is
chosen by it, and the seconds it takes are left out of all others.
"""

import argparse
import gzip
import json
import os
import subprocess
import time
from importlib import import_module
from pathlib import Path
from typing import Any

_STARTED = time.time()  # of this module; the interpreter began a little earlier


def main() -> None:
    arguments = _parser().parse_args()
    started = _process_started()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    keras: Any = import_module("keras")  # not in this program's environment, where types are checked
    if arguments.threads:
        threading = import_module("tensorflow").config.threading
        threading.set_intra_op_parallelism_threads(arguments.threads)
        threading.set_inter_op_parallelism_threads(arguments.threads)
    keras.utils.set_random_seed(arguments.seed)
    train, validation, test = _data(Path(arguments.data.partition("=")[2]), arguments)
    network = _network(keras)
    stopping = keras.callbacks.EarlyStopping(patience=arguments.patience)
    network.fit(
        *train,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        validation_data=validation,
        callbacks=[_yardstick(keras, test, started), *([stopping] if validation else [])],
        verbose=0,
    )


def run_keras(python: Path, root: str, *options: str) -> list[dict[str, Any]]:
    """What this script says of each epoch, run by an interpreter that has Keras."""
    command = [str(python), __file__, f"mnist={root}", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="mnist=DIR", help="the folder with the four IDX files, gzipped or not")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=20, help="at most")
    parser.add_argument("--patience", type=int, default=5, help="epochs without a lower validation loss")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--train-images", type=int, default=54_000)
    parser.add_argument("--validation-images", type=int, default=6_000)
    parser.add_argument("--threads", type=int, help="as many as TensorFlow likes where it is not given")
    return parser


def _process_started() -> float:
    """The unix time at which this process began, where Linux says it."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return _STARTED
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")


def _data(folder: Path, arguments: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Training, validation (None where it has no images) and test: images in [0, 1] and labels."""
    import numpy as np

    images, labels = _split(folder, "train")
    order = np.random.default_rng(arguments.seed).permutation(len(images))
    first = order[: arguments.train_images]
    last = order[len(order) - arguments.validation_images :]
    validation = (images[last], labels[last]) if arguments.validation_images else None
    return (images[first], labels[first]), validation, _split(folder, "t10k")


def _split(folder: Path, split: str) -> tuple[Any, Any]:
    images = _idx(folder / f"{split}-images-idx3-ubyte", header=16).reshape(-1, 28, 28, 1)
    return images.astype("float32") / 255, _idx(folder / f"{split}-labels-idx1-ubyte", header=8).astype("int64")


def _idx(path: Path, header: int) -> Any:
    import numpy as np

    packed = path.with_name(f"{path.name}.gz")
    content = gzip.decompress(packed.read_bytes()) if packed.exists() else path.read_bytes()
    return np.frombuffer(content, np.uint8, offset=header)


def _network(keras: Any) -> Any:
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    rate = keras.optimizers.schedules.InverseTimeDecay(0.01, decay_steps=1, decay_rate=1e-6)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    network.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return network


def _yardstick(keras: Any, test: tuple[Any, Any], started: float) -> Any:
    """A callback that times epochs with their validation, and looks at the test accuracy after each."""

    class Yardstick(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.looking = self.training = self.began = 0.0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.began = time.time()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            ended = time.time()
            self.training += ended - self.began
            since_start = ended - started - self.looking
            probabilities = self.model.predict(test[0], batch_size=500, verbose=0)
            accuracy = float((probabilities.argmax(axis=1) == test[1]).mean())
            self.looking += time.time() - ended
            said = {
                "epoch": epoch + 1,
                "seconds_since_start": round(since_start, 3),
                "training_seconds": round(self.training, 3),
                "epoch_seconds": round(ended - self.began, 3),
                "test_accuracy": accuracy,
                **{name: round(float(value), 5) for name, value in (logs or {}).items()},
            }
            print(json.dumps(said), flush=True)

    return Yardstick()


if __name__ == "__main__":
    main()
