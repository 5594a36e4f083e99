"""What a model card says of a winner."""

from typing import Any

import numpy as np

from modules.deployment.manifest import Manifest
from modules.deployment.winner import Winner
from modules.energy.wording import emissions, millijoules, watt_hours
from modules.evaluation.calibration import calibration_error
from modules.evaluation.intervals import wilson_interval
from modules.evaluation.outputs import Outputs


def card_of(winner: Winner, manifest: Manifest, outputs: Outputs) -> dict[str, Any]:
    """What the template of MODEL_CARD.md is filled with; `outputs` of the test images."""
    shown = manifest.model_dump(exclude={"latency_ms", "test_error", "val_error"})
    return {
        **shown,
        "test_error": _error(int(outputs.wrong.sum()), len(outputs.wrong)),
        "val_error": f"{winner.val_error:.2%}",
        "loss": f"{outputs.loss:.4f}",
        "calibration": f"{calibration_error(outputs.probabilities, outputs.labels):.2%}",
        "latency_ms": f"{winner.latency_ms:.3f}",
        **_energy(winner),
        "seconds": f"{winner.seconds:.0f}",
        "per_class": [_class_row(number, name, outputs) for number, name in enumerate(manifest.classes)],
        "architecture": winner.architecture,
        "kept_edits": winner.kept_edits,
    }


def _energy(winner: Winner) -> dict[str, Any]:
    """Of the study, of the winner's last training and of an image, and how it is known: None where it is not."""
    energy, wh, image = winner.energy, winner.training_wh, winner.energy["inference_mj"]
    measured = bool(energy["measured"])
    return {
        "energy": None if energy["wh"] is None else f"{watt_hours(energy['wh'], measured)}, {emissions(energy)}",
        "training_energy": None if wh is None else watt_hours(wh, measured),
        "image_energy": None if image is None else millijoules(image, measured),
        "energy_method": energy["method"],
    }


def _class_row(number: int, name: str, outputs: Outputs) -> dict[str, Any]:
    wrong = outputs.wrong[np.asarray(outputs.labels) == number]
    return {"name": name, "count": len(wrong), "error": _error(int(wrong.sum()), len(wrong)) if len(wrong) else "-"}


def _error(wrong: int, count: int) -> str:
    low, high = wilson_interval(wrong / count, count)
    return f"{wrong / count:.2%} ({low:.2%} to {high:.2%})"
