"""The training step: a network, its loss and its optimiser."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn

from modules.randomness import seed_for
from modules.records import Part
from modules.training.batches import Batch
from modules.training.distilling import Teacher
from modules.training.history import History
from modules.training.optimizer import build_optimizer

REVISION = 2


class TrialModule(pl.LightningModule):
    """Trains `network` and counts, in `history`, what everything else about a training depends on.

    The loss is the cross-entropy, with a `teacher` also the divergence from what that says. It steps the optimiser
    itself: an update is made of as many pieces as memory asks for.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        optimizer: Part,
        history: History,
        label_smoothing: float,
        gradient_clip: float | None,
        seed: int,
        first_sample: int,
        class_weights: NDArray[np.float64] | None,
        first_layer_rate: float,
        teacher: Teacher | None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.optimizer_part = optimizer
        self.history = history
        self.label_smoothing = label_smoothing
        self.gradient_clip = gradient_clip
        self.seed = seed
        self.first_sample = first_sample
        self.first_layer_rate = first_layer_rate
        self.teacher = teacher
        self.class_weights = None if class_weights is None else torch.from_numpy(class_weights).float()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The recipe's optimiser; biases and normalisation are not decayed."""
        return build_optimizer(self.optimizer_part, self.network, self.first_layer_rate)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Left to the step, which moves one piece at a time."""
        return batch

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One update by the mean loss of a batch."""
        # Dropout draws from a counter as well: the position in the stream of this process's first image.
        self._seed_dropout(seed_for(self.seed, "step", self.first_sample + self.history.samples + self.global_rank))
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        optimizer.zero_grad()
        total, num_seen = 0.0, 0
        for images, targets in batch:
            num_seen += len(images)
            # Gradients and losses are averaged over processes, whose shares of a batch may differ by an image.
            share = len(images) * self.trainer.world_size / batch.size
            with self._averaging_gradients(num_seen == len(batch)):
                loss = self.loss(images, targets) * share
                self.manual_backward(loss)
            total += float(loss.detach())
        if self.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.gradient_clip)
        optimizer.step()
        self.history.count(batch.size, self._mean_over_processes(total))

    def _seed_dropout(self, seed: int) -> None:
        # What torch.manual_seed does, without a look at devices that are not used: that takes a millisecond.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif self.device.type == "mps":
            torch.mps.manual_seed(seed)

    def loss(self, images: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a piece: cross-entropy, and what a teacher adds to it."""
        images = images.to(self.device)
        logits = self.network(images).float()
        loss = self._cross_entropy(logits, targets.to(self.device))
        if self.teacher is None:
            return loss
        learnt: Tensor = self.teacher(loss, logits, images)
        return learnt

    def _cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Each image is weighed as its class is."""
        if self.class_weights is None:
            return nn.functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        weights = self.class_weights.to(self.device)
        each = nn.functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing, reduction="none")
        return (each * (weights[targets] if targets.ndim == 1 else targets @ weights)).mean()

    def _averaging_gradients(self, now: bool) -> AbstractContextManager[None]:
        """Over processes; once an update, since they may have different numbers of pieces."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, DDPStrategy) and not now else nullcontext()

    def _mean_over_processes(self, loss: float) -> float:
        if self.trainer.world_size == 1:
            return loss
        own = torch.tensor(loss, dtype=torch.float64, device=self.device)
        mean: Any = self.trainer.strategy.reduce(own, reduce_op="mean")
        return float(mean)
