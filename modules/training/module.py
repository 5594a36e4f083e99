"""The training step: a network, its loss and its optimiser."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from modules.parts import build
from modules.randomness import seed_for
from modules.records import Part
from modules.training.batches import Batch
from modules.training.progress import Progress

REVISION = 1


class TrialModule(pl.LightningModule):
    """Trains `network` by cross-entropy; counts samples and updates, on which schedules and averages depend."""

    def __init__(
        self,
        network: nn.Module,
        optimizer: Part,
        label_smoothing: float,
        seed: int,
        first_sample: int,
        total_samples: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.optimizer_part = optimizer
        self.label_smoothing = label_smoothing
        self.seed = seed
        self.first_sample = first_sample
        self.total_samples = total_samples
        self.samples = 0
        self.updates = 0
        self._loss_sum = torch.zeros(())
        self._losses = 0

    @property
    def progress(self) -> Progress:
        """How far this training is."""
        return Progress(self.samples, self.total_samples, self.updates)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The recipe's optimiser; biases and normalisation are not decayed."""
        return build_optimizer(self.optimizer_part, self.network)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Dropout draws from a counter as well: the position in the stream."""
        torch.manual_seed(seed_for(self.seed, "step", self.first_sample + self.samples))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean cross-entropy of a batch."""
        images, labels = batch
        logits = self.network(images)
        loss = nn.functional.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing)
        self._loss_sum += loss.detach()
        self._losses += 1
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Count what was seen."""
        self.samples += len(batch[1])
        self.updates += 1

    def take_mean_loss(self) -> float:
        """The mean training loss since this was last asked."""
        mean = float(self._loss_sum) / max(1, self._losses)
        self._loss_sum = torch.zeros(())
        self._losses = 0
        return mean


def build_optimizer(part: Part, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a recipe over a network's parameters. Its rate is set before each step."""
    parameters = list(network.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1]},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1]},
    ]
    if "weight_decay" in part.arguments:
        groups[1]["weight_decay"] = 0.0
    optimizer: torch.optim.Optimizer = build(part, [group for group in groups if group["params"]], lr=1e-3)
    return optimizer
