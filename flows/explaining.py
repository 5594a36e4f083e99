"""Explanations: of a study's winner, and of one image by `espalier explain`."""

import os
from pathlib import Path
from typing import Any

from flows.study import Study
from modules.architecture.description import Architecture
from modules.architecture.nodes import Standardise
from modules.config import resolve
from modules.config.settings import ExplanationSettings
from modules.data.image_file import Size, read_image
from modules.digests import digest_of
from modules.errors import StudyError
from modules.explanation.records import Explanation, OneImage
from modules.parts import revisions_of
from modules.recipe import Recipe
from modules.report.report import one_image_html
from modules.search.final import Final
from modules.store import write_text
from modules.workers.pool import WorkerPool

_JOBS = "modules.explanation.jobs"


def explain_winner(study: Study, final: Final) -> Explanation | None:
    """What the winner does on the test images, and why; None where no explanation is asked for. Done once."""
    settings, laboratory, winner = study.settings.explanation, study.laboratory, final.winner
    if settings.kind == "none":
        return None
    openings = {part: laboratory.opening(winner.trial, part) for part in ("confirm", "test")}
    arguments = {
        "architecture": winner.recipe.architecture.model_dump(mode="json"),
        "trial": winner.trial.key,
        "selection": winner.recipe.selection.model_dump(mode="json"),
        "methods": _plain(settings),
        "openings": openings,
    }
    modules = [part.target.rpartition(".")[0] for _, part in settings.methods]
    selection = winner.recipe.selection.target.rpartition(".")[0]
    key = digest_of(
        {
            **arguments,
            "weights": winner.trial.weights_sha256,
            "data": laboratory.data.digest,
            "captum": _has_captum(),
            "revisions": revisions_of(_JOBS, selection, *modules),
        }
    )
    found = laboratory.found_on_data("explanations", key, f"{_JOBS}.explain_winner", arguments)
    explanation = Explanation.model_validate(found)
    _say(study, explanation)
    return explanation


def _say(study: Study, explanation: Explanation) -> None:
    shown = [method.name.replace("_", " ") for method in explanation.methods if method.shown]
    calibration = explanation.calibration
    study.progress.say(
        f"explained in {explanation.seconds:.1f} s by {', '.join(shown) or 'no method that passed its checks'}; "
        f"probabilities are off by {calibration.error:.2%} on average, {calibration.scaled_error:.2%} at a temperature "
        f"of {calibration.temperature:.2f}"
    )
    for method in explanation.methods:
        if not method.shown:
            study.progress.say(f"  {method.name.replace('_', ' ')}: {method.verdict}")
    for suspicion in explanation.suspicions:
        study.progress.say(f"note: {suspicion}", "yellow")


def _has_captum() -> bool:
    """Whether the methods can be had: with Captum installed later, the same command explains again."""
    from importlib.util import find_spec

    return find_spec("captum") is not None


def _plain(settings: ExplanationSettings) -> dict[str, Any]:
    return {name: part.model_dump(mode="json") for name, part in settings.methods}


def explain_file(folder: Path, image: Path, page: Path, home: Path) -> OneImage:
    """Explain what the model in a folder (of a winner, or a bundle) says of an image file; writes a page."""
    from modules.deployment.inference import ExportedModel

    model = folder / "model.onnx"
    if not model.is_file():
        raise StudyError(f"{folder} holds no model.onnx; allowed is a finished study, a winner's folder or a bundle")
    exported = ExportedModel(model)
    pixels = read_image(image, Size(*exported.image_shape))
    with _worker(home) as pool:
        job, arguments = _question(folder, exported.classes)
        said = OneImage.model_validate(pool.call(job, {**arguments, "image": pixels.tolist()}))
    write_text(page, one_image_html(image.name, said))
    return said


def _question(folder: Path, classes: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """All methods where the recipe and the weights lie beside the exported model, else what it can say alone."""
    weights = folder / "weights.safetensors"
    if not (weights.is_file() and (folder / "recipe.json").is_file()):
        return "modules.deployment.explaining.explain_exported", {"model": str(folder / "model.onnx")}
    architecture = Recipe.model_validate_json((folder / "recipe.json").read_text()).architecture
    return f"{_JOBS}.explain_image", {
        "architecture": architecture.model_dump(mode="json"),
        "weights": str(weights),
        "mean": list(_mean(architecture)),
        "classes": list(classes),
        "methods": _plain(resolve(["explanation=default"]).explanation),
    }


def _mean(architecture: Architecture) -> tuple[float, ...]:
    """Of the training images, as the network itself remembers it; grey where it does not."""
    found = [node.mean for node in architecture.nodes if isinstance(node, Standardise)]
    return found[0] if found else (0.5,) * architecture.image_shape[0]


def _worker(home: Path) -> WorkerPool:
    return WorkerPool(size=1, threads=len(os.sched_getaffinity(0)), log_folder=home / "logs", preload=_JOBS)
