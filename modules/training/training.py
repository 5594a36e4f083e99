"""A training: a network, its data and the callbacks around them, from one state to the next."""

import logging
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import nn

from modules.architecture.description import Architecture
from modules.architecture.module import Network, build_module, initial_tensors
from modules.augmentation.policy import DrawnPolicy, Policy, build_policy
from modules.data.arrays import Arrays, open_arrays
from modules.digests import sha256_of_file
from modules.energy.meter import Meter
from modules.errors import ConfigError
from modules.parts import build
from modules.recipe import Recipe
from modules.records import TrialResult
from modules.store import Store
from modules.training.batches import TrainingData
from modules.training.callbacks.batch_growth import BatchGrowth
from modules.training.callbacks.checkpoints import Checkpoint, Checkpoints, find_checkpoint
from modules.training.callbacks.learning_rate_decay import LearningRateDecay
from modules.training.callbacks.retreat import Retreat
from modules.training.callbacks.steer_evaluation import SteerEvaluation
from modules.training.callbacks.stopping import Stopping
from modules.training.callbacks.weight_average import WeightAverage
from modules.training.copies import with_copies
from modules.training.distilling import find_teacher
from modules.training.dropout import set_dropout
from modules.training.features import Tail, can_be_kept, whole, with_features
from modules.training.history import History
from modules.training.module import TrialModule
from modules.training.processes import Siblings, num_processes, this_rank
from modules.training.progress import BEGINNING
from modules.training.spec import Slice, TrialSpec
from modules.training.states import (
    State,
    collect_state,
    progress_of,
    progress_tensors,
    read_state,
    restore_optimizer,
    section,
)
from modules.workers.jobs import Report
from modules.workers.memory import peak_memory_bytes

REVISION = 3

_CHECKPOINT_FLOPS = 1e12  # some 15 seconds on two cores
_INITIALISING_IMAGES = 256
_HOPELESS = 4.0  # times the loss of guessing: a training that stays above has gone wrong


class Training:
    """A network, its data and the callbacks around them, ready to fit."""

    def __init__(
        self,
        spec: TrialSpec,
        home: Path,
        store: Store,
        report: Report,
        pauses: bool = False,
        meter: Meter | None = None,
    ) -> None:
        recipe, piece, devices = spec.recipe, spec.slice, spec.numerics.devices
        if recipe.batch_size < devices:
            raise ConfigError(
                f"training.batch_size={recipe.batch_size} has no image for each of trainer.devices={devices}; "
                f"allowed is {devices} or more"
            )
        self.spec = spec
        self.start_state = _start_state(spec, store)
        self.network = network_of(spec, self.start_state, "model")
        self.trained: nn.Module = self.network
        if recipe.frozen_statistics:
            self.network.keep_statistics()
        arrays, selected, policy = self._seen(home, store, report)
        balance = build(recipe.balance) if recipe.balance else None
        counts = np.bincount(arrays.labels[selected], minlength=recipe.architecture.num_classes)
        if balance is not None:
            selected = np.repeat(selected, balance.repeats(counts)[arrays.labels[selected]])
        self.history = History(total_samples=piece.samples, epoch_samples=len(selected), meter=meter)
        self.data = TrainingData(
            arrays,
            selected,
            policy,
            mixing=build(recipe.mixing) if recipe.mixing else None,
            seed=spec.seed,
            batch_size=recipe.batch_size,
            first_sample=piece.first_sample,
            most_at_once=spec.most_at_once,
        )
        set_dropout(self.network, recipe.dropout)
        if self.start_state is None:
            fit_initialisation(self.network, build(recipe.initialisation), self.data)
        self.module = TrialModule(
            self.trained,
            optimizer=recipe.optimizer,
            history=self.history,
            label_smoothing=recipe.label_smoothing,
            gradient_clip=recipe.gradient_clip,
            seed=spec.seed,
            first_sample=piece.first_sample,
            class_weights=balance.weights(counts) if balance is not None else None,
            first_layer_rate=recipe.first_layer_rate,
            teacher=find_teacher(recipe, store),
        )
        self._build_callbacks(store, report, pauses)
        self.found = find_checkpoint(store, spec.key)

    def _seen(self, home: Path, store: Store, report: Report) -> tuple[Arrays, NDArray[np.int64], Policy | DrawnPolicy]:
        """What is trained on: images or features of them, which of them, and what is done to each anew."""
        recipe = self.spec.recipe
        arrays, selected = open_arrays(home, self.spec.data).under(recipe.selection)
        if recipe.frozen_until is not None:
            features = self._frozen(arrays, selected, store, report)
            if features is not None:
                return *features, build_policy(())
        if recipe.augmentation_copies is not None:
            return *with_copies(arrays, selected, recipe, self.spec.data, store), build_policy(())
        return arrays, selected, build_policy(recipe.augmentation, recipe.augmentation_mode)

    def _frozen(
        self, arrays: Arrays, selected: NDArray[np.int64], store: Store, report: Report
    ) -> tuple[Arrays, NDArray[np.int64]] | None:
        """Freeze the first nodes; what they make of the images, where that can be kept."""
        spec, recipe = self.spec, self.spec.recipe
        assert recipe.frozen_until is not None
        if self.start_state is None:
            raise ConfigError(
                f"frozen_until={recipe.frozen_until} keeps weights that nothing has trained; allowed is a start from a "
                "trained network"
            )
        self.network.freeze(recipe.frozen_until)
        if not can_be_kept(recipe):
            return None
        seen = with_features(self.network, recipe, arrays, selected, spec.data, spec.numerics, store, report)
        if seen is None:
            return None
        self.trained = Tail(self.network, recipe.frozen_until)
        return seen[:2]

    def _build_callbacks(self, store: Store, report: Report, pauses: bool) -> None:
        spec, recipe, piece, history = self.spec, self.spec.recipe, self.spec.slice, self.history
        self.average = WeightAverage(self.trained, build(recipe.averaging), self.data, history, piece.first_sample)
        if self.start_state:
            self.averaged.load_state_dict(section(self.start_state, "ema"))
        self.decay = LearningRateDecay(build(recipe.schedule), recipe.learning_rate, history)
        batching = build(recipe.batching)
        # What begins with the first image of the stream begins a lineage, whatever weights it begins with.
        before = progress_of(self.start_state or {}) if piece.first_sample > 0 else BEGINNING
        self.growth = BatchGrowth(batching, recipe.batch_size, self.data, history, before)
        every = checkpoint_samples(recipe.architecture)
        hopeless = _HOPELESS * guessing_loss(recipe)
        self.checkpoints = Checkpoints(store, spec.key, history, every, hopeless, self.tensors)
        self.retreat = Retreat(self.checkpoints, self.restore, history, piece.max_retreats, recipe.learning_rate)
        self.steer = SteerEvaluation(
            average=self.average,
            data=self.data,
            decay=self.decay,
            retreat=self.retreat,
            history=history,
            looks=num_looks(piece),
            keep_best=piece.patience is not None,
            measure_noise=batching.needs_noise_scale,
            report=report,
        )
        self.stopping = Stopping(piece, history, pauses)

    def fit(self) -> None:
        """Train to the end of the slice, from where an interrupted attempt stopped."""
        # In this order: the average is moved, then nothing is looked at or kept of an update that went wrong.
        self.run_with(
            [self.decay, self.average, self.retreat, self.steer, self.growth, self.stopping, self.checkpoints]
        )
        best = self.steer.best
        if best is not None and self.history.best_look != len(self.history.curve) - 1 and self.data.rank == 0:
            self.average.network.load_state_dict(best)
            self.steer.observe()

    def run_with(self, callbacks: list[pl.Callback]) -> None:
        """Train until one of the callbacks stops it."""
        numerics = self.spec.numerics
        self.data.rank, self.data.world_size = this_rank(), num_processes()
        together = self.data.world_size > 1
        with quiet_lightning():
            self.trainer = pl.Trainer(
                accelerator=numerics.device,
                devices=self.data.world_size,
                strategy=numerics.strategy if together else "auto",
                plugins=[Siblings()] if together else None,
                precision="bf16-mixed" if numerics.precision == "bfloat16" else "32-true",
                max_steps=-1,
                max_epochs=-1,
                callbacks=[_Begin(self), *callbacks],
                limit_val_batches=0,
                num_sanity_val_steps=0,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
            )
            self.trainer.fit(self.module, datamodule=self.data)

    def begin(self) -> None:
        """The state of a parent, or of an interrupted attempt at this training."""
        if self.found is not None:
            self.history.started -= self.spent_before
            self.history.wh_before = self.found.history.get("energy_wh") or 0.0
            self.restore(self.found)
        elif self.start_state is not None:
            restore_optimizer(self.start_state, self.network, self.optimizer)

    def tensors(self) -> State:
        """Everything that a checkpoint holds besides the history."""
        best = {f"best.{name}": tensor for name, tensor in (self.steer.best or {}).items()}
        return {**self.state(), **best}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to a checkpoint."""
        self.history.restore(checkpoint.history)
        self.network.load_state_dict(section(checkpoint.tensors, "model"))
        self.averaged.load_state_dict(section(checkpoint.tensors, "ema"))
        restore_optimizer(checkpoint.tensors, self.network, self.optimizer)
        self.steer.best = section(checkpoint.tensors, "best") or None
        self.data.cursor = self.spec.slice.first_sample + self.history.samples

    @property
    def averaged(self) -> Network:
        """The network with the averaged weights."""
        return whole(self.average.network)

    @property
    def spent_before(self) -> float:
        """Seconds of an interrupted attempt that this one went on from."""
        return self.found.history["seconds"] if self.found else 0.0

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Of the trainer."""
        return self.trainer.optimizers[0]

    def state(self) -> State:
        """What the next slice starts from. With patience, the averaged weights are those of the best look."""
        state = collect_state(self.network, self.averaged, self.optimizer)
        return {**state, **progress_tensors(self.growth.progress)} if self.growth.batching.grows else state

    def result(self, started_at: float, seconds: float, folder: Path) -> TrialResult:
        """The record of this training, whose files are in `folder`."""
        spec, outputs, history = self.spec, self.steer.outputs, self.history
        assert outputs is not None
        assert self.stopping.reason is not None
        architecture = spec.recipe.architecture
        return TrialResult(
            key=spec.key,
            recipe=spec.recipe.content_digest,
            seed=spec.seed,
            state_sha256=sha256_of_file(folder / "state.safetensors"),
            weights_sha256=sha256_of_file(folder / "weights.safetensors"),
            samples=history.samples,
            epochs=history.samples / history.epoch_samples,
            updates=history.updates,
            params=architecture.params,
            flops=architecture.flops,
            seconds=seconds,
            started_at=started_at,
            finished_at=started_at + seconds - self.spent_before,  # whatever becomes of the machine's clock
            peak_memory_bytes=peak_memory_bytes(),
            stopped_by=self.stopping.reason,
            retreats=history.retreats,
            energy_wh=history.energy_wh,
            energy_method=history.meter.method_on(spec.numerics.device) if history.meter else None,
            steer_loss=outputs.loss,
            steer_error=outputs.error,
            curve=tuple(history.curve),
        )


class _Begin(pl.Callback):
    def __init__(self, training: Training) -> None:
        self._training = training

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._training.begin()


def guessing_loss(recipe: Recipe) -> float:
    """What guessing costs: as many nats as there are classes, or as a teacher makes of them at most."""
    nats, learnt = math.log(recipe.architecture.num_classes), recipe.distillation
    return nats if learnt is None else nats * (1 - learnt.weight + learnt.weight * learnt.temperature**2)


def num_looks(piece: Slice) -> int:
    """One about every `evaluate_every` samples, the last at the end of the slice."""
    return max(1, round(piece.samples / piece.evaluate_every))


def checkpoint_samples(architecture: Architecture) -> int:
    """How many samples cost so much that nobody wants to train on them twice; backward costs twice as much."""
    return max(1, round(_CHECKPOINT_FLOPS / (3 * architecture.flops)))


def fit_initialisation(network: Network, initialiser: Any, data: TrainingData) -> None:
    """Let an initialiser that looks at the data see some images."""
    if hasattr(initialiser, "fit"):
        images, _ = next(iter(data.upcoming(_INITIALISING_IMAGES)))
        initialiser.fit(network, images)


def _start_state(spec: TrialSpec, store: Store) -> State | None:
    if spec.start is None:
        return None
    state = read_state(store.folder(spec.start.kind, spec.start.key) / "state.safetensors")
    if spec.recipe.frozen_until is not None:  # what is not trained is one network
        frozen = spec.recipe.architecture.upstream(spec.recipe.frozen_until)
        averaged = section(state, "ema").items()
        state |= {f"model.{name}": tensor for name, tensor in averaged if name.partition(".")[0] in frozen}
    return state


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
