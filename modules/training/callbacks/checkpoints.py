"""The last good states of a training: in memory to retreat to, and now and then on disk to go on from after a kill.

States are taken at moments that follow from the samples alone, so that a training that retreats does so to the same
state whether or not it was interrupted before. How often one is written to disk depends on the clock, and on nothing
that the bits depend on.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl

from modules.store import Store
from modules.training.history import History
from modules.training.states import State, read_state, write_state

REVISION = 1

KIND = "checkpoints"

SECONDS_BETWEEN_WRITES = 10.0


class Checkpoint(NamedTuple):
    """All that a training goes on from."""

    history: dict[str, Any]
    tensors: State


class Checkpoints(pl.Callback):
    """Takes a state at each look and whenever another `every_samples` have been seen, unless the loss is hopeless."""

    def __init__(
        self,
        store: Store,
        key: str,
        history: History,
        every_samples: int,
        hopeless_loss: float,
        take: Callable[[], State],
    ) -> None:
        self.store = store
        self.key = key
        self.history = history
        self.every_samples = every_samples
        self.hopeless_loss = hopeless_loss
        self.take = take
        self.latest: Checkpoint | None = None
        self._written = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The state it starts with is good."""
        self._keep()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the state where it is time."""
        assert self.latest is not None
        history, kept = self.history, self.latest.history
        passed = history.samples // self.every_samples > kept["samples"] // self.every_samples
        due = passed or len(history.curve) > len(kept["curve"])
        if trainer.should_stop or not due or not self._is_hopeful():
            return
        self._keep()
        if trainer.is_global_zero and time.monotonic() - self._written > SECONDS_BETWEEN_WRITES:
            self.write()

    def pause(self) -> None:
        """Leave a state to go on from: the present one, unless one that was not paused would not have kept it."""
        if self._is_hopeful():
            self._keep()
        self.write()

    def _is_hopeful(self) -> bool:
        # The median of the last losses stays low for some updates after an explosion.
        return self.history.recent_loss <= self.hopeless_loss and self.history.recent_losses[-1] <= self.hopeless_loss

    def _keep(self) -> None:
        self.latest = Checkpoint(self.history.to_json(), self.take())

    def write(self) -> None:
        """Put the latest state into the store, then forget those before; another study may train the same trial."""
        assert self.latest is not None
        history, tensors = self.latest

        def fill(folder: Path) -> None:
            write_state(folder / "state.safetensors", tensors)

        latest = f"{self.key}-{history['samples']:012d}"
        self.store.put(KIND, latest, {**history, "energy_wh": self.history.energy_wh}, fill)
        for key in written(self.store, self.key):
            if key < latest:
                self.store.remove(KIND, key)
        self._written = time.monotonic()

    def forget(self) -> None:
        """The training is finished: nobody will go on from here."""
        for key in written(self.store, self.key):
            self.store.remove(KIND, key)


def written(store: Store, trial: str) -> list[str]:
    """The checkpoints of a trial, oldest first."""
    folder = store.folder(KIND, trial).parent
    return sorted(path.name for path in folder.glob(f"{trial}-*"))


def find_checkpoint(store: Store, trial: str) -> Checkpoint | None:
    """The latest whole checkpoint of a trial."""
    for key in reversed(written(store, trial)):
        entry = store.find(KIND, key)
        if entry is not None:
            with contextlib.suppress(FileNotFoundError):  # another study that trains the same has just removed it
                return Checkpoint(entry.record, read_state(entry.file("state.safetensors")))
    return None
