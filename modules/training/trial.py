"""A trial: the job that trains one recipe for one slice in a worker process and writes it to the store."""

import logging
import math
import resource
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import nn

from modules.architecture.module import Network, build_module, initial_tensors
from modules.augmentation.policy import build_policy
from modules.data.arrays import open_arrays
from modules.digests import sha256_of_file
from modules.errors import TrainingError
from modules.parts import build
from modules.records import TrialResult
from modules.store import Store
from modules.training.batches import TrainingData
from modules.training.callbacks.learning_rate_decay import LearningRateDecay
from modules.training.callbacks.steer_evaluation import SteerEvaluation
from modules.training.callbacks.weight_average import WeightAverage
from modules.training.module import TrialModule
from modules.training.spec import Slice, TrialSpec
from modules.training.states import State, collect_state, read_state, restore_optimizer, section, write_state
from modules.workers.jobs import Report, job

REVISION = 1


@job
def train_trial(spec: dict[str, Any], home: str, report: Report) -> dict[str, Any]:
    """Train the trial and put it into the store as `trials/<key>`; returns its TrialResult."""
    return run_trial(TrialSpec.model_validate(spec), Path(home), report).model_dump(mode="json")


def run_trial(spec: TrialSpec, home: Path, report: Report) -> TrialResult:
    """See `train_trial`."""
    started_at, clock = time.time(), time.monotonic()
    store = Store(home / "store")
    training = Training(spec, home, store, report)
    training.fit()
    state = training.state()
    outputs = training.steer.outputs
    assert outputs is not None
    if not math.isfinite(outputs.loss):
        raise TrainingError(
            f"the training diverged: the loss became {outputs.loss} at learning_rate={spec.recipe.learning_rate}; "
            "try a smaller training.learning_rate"
        )
    results: list[TrialResult] = []

    def fill(folder: Path) -> None:
        write_state(folder / "state.safetensors", state)
        write_state(folder / "weights.safetensors", section(state, "ema"))
        outputs.write(folder / "steer.safetensors")
        results.append(training.result(started_at, time.monotonic() - clock, folder))
        (folder / "recipe.json").write_text(spec.recipe.model_dump_json(indent=1))
        (folder / "result.json").write_text(results[0].model_dump_json(indent=1))

    store.put("trials", spec.key, {"key": spec.key}, fill)
    return results[0]


class Training:
    """A network, its data and the callbacks around them, ready to fit."""

    def __init__(self, spec: TrialSpec, home: Path, store: Store, report: Report) -> None:
        recipe, piece = spec.recipe, spec.slice
        arrays = open_arrays(home, spec.data)
        train = arrays.indices("train")
        selected = train[build(recipe.selection)(arrays.labels[train], arrays.identities[train])]
        state = _start_state(spec, store)
        self.spec = spec
        self.network = network_of(spec, state, "model")
        self.module = TrialModule(
            self.network, recipe.optimizer, recipe.label_smoothing, spec.seed, piece.first_sample, piece.samples
        )
        self.data = TrainingData(
            arrays,
            selected,
            build_policy(recipe.augmentation),
            spec.seed,
            recipe.batch_size,
            piece.first_sample,
            updates_between_looks(piece, recipe.batch_size),
        )
        self.average = WeightAverage(self.network, recipe.averaging_samples)
        if state and recipe.averaging_samples:
            self.average.network.load_state_dict(section(state, "ema"))
        self.decay = LearningRateDecay(build(recipe.schedule), recipe.learning_rate)
        self.steer = SteerEvaluation(
            self.average.network, arrays, arrays.indices("steer"), self.decay, piece.patience is not None, report
        )
        self.start_state = state
        self.trainer = self._trainer()

    def _trainer(self) -> pl.Trainer:
        piece, numerics = self.spec.slice, self.spec.numerics
        callbacks: list[pl.Callback] = [self.decay, self.average, self.steer]
        if piece.patience is not None:
            stopping = EarlyStopping("steer/loss", patience=piece.patience, check_on_train_epoch_end=True)
            callbacks.append(stopping)
        if self.start_state:
            callbacks.append(_RestoreOptimizer(self.start_state, self.network))
        with quiet_lightning():
            return pl.Trainer(
                accelerator="cpu",
                devices=1,
                precision="bf16-mixed" if numerics.precision == "bfloat16" else "32-true",
                max_steps=num_updates(piece, self.spec.recipe.batch_size),
                max_epochs=-1,
                callbacks=callbacks,
                gradient_clip_val=self.spec.recipe.gradient_clip,
                limit_val_batches=0,
                num_sanity_val_steps=0,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
            )

    def fit(self) -> None:
        """Train to the end of the slice."""
        with quiet_lightning():
            self.trainer.fit(self.module, datamodule=self.data)

    def state(self) -> State:
        """What the next slice starts from. With patience, the weights are those of the best look."""
        if self.steer.best is not None:
            self.average.network.load_state_dict(self.steer.best)
        return collect_state(self.network, self.average.network, self.trainer.optimizers[0])

    def result(self, started_at: float, seconds: float, folder: Path) -> TrialResult:
        """The record of this training, whose files are in `folder`."""
        spec, outputs = self.spec, self.steer.outputs
        assert outputs is not None
        architecture = spec.recipe.architecture
        return TrialResult(
            key=spec.key,
            recipe=spec.recipe.content_digest,
            seed=spec.seed,
            state_sha256=sha256_of_file(folder / "state.safetensors"),
            weights_sha256=sha256_of_file(folder / "weights.safetensors"),
            samples=self.module.samples,
            epochs=self.module.samples / len(self.data.stream.indices),
            updates=self.module.updates,
            params=architecture.params,
            flops=architecture.flops,
            seconds=seconds,
            started_at=started_at,
            finished_at=started_at + seconds,
            peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            stopped_by="patience" if self.module.samples < spec.slice.samples else "samples",
            steer_loss=outputs.loss,
            steer_error=outputs.error,
            curve=tuple(self.steer.curve),
        )


class _RestoreOptimizer(pl.Callback):
    def __init__(self, state: State, network: nn.Module) -> None:
        self._state = state
        self._network = network

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        restore_optimizer(self._state, self._network, trainer.optimizers[0])


def num_updates(piece: Slice, batch_size: int) -> int:
    """The updates of a slice, of whole batches."""
    return math.ceil(piece.samples / batch_size)


def updates_between_looks(piece: Slice, batch_size: int) -> int:
    """About `evaluate_every` samples, such that the last look is at the end of the slice."""
    looks = max(1, round(piece.samples / piece.evaluate_every))
    return math.ceil(num_updates(piece, batch_size) / looks)


def _start_state(spec: TrialSpec, store: Store) -> State | None:
    if spec.start is None:
        return None
    path = store.folder(spec.start.kind, spec.start.key) / "state.safetensors"
    return read_state(path)


def network_of(spec: TrialSpec, state: State | None, name: str) -> Network:
    """The recipe's network with the weights of a state, or with those its initialisation draws."""
    architecture = spec.recipe.architecture
    network = build_module(architecture)
    if state is None:
        drawn = initial_tensors(architecture, build(spec.recipe.initialisation), spec.seed)
        network.load_state_dict({tensor: torch.from_numpy(values) for tensor, values in drawn.items()}, strict=False)
    else:
        network.load_state_dict(section(state, name))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class quiet_lightning(warnings.catch_warnings):  # noqa: N801
    """Lightning's advice about processes, devices and loggers is for people who run it by hand."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        for name in ("pytorch_lightning", "lightning_fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return entered
