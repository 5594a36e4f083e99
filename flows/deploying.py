"""What becomes of the winner: its files, and where `deployment` names a target, a bundle that proves itself."""

import platform
import shutil
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import safetensors.numpy

from flows.study import Study
from modules.deployment.latency import measure_latency_ms
from modules.deployment.onnx_export import export_onnx
from modules.deployment.winner import Winner
from modules.errors import DeploymentError
from modules.evaluation.outputs import Outputs
from modules.parts import build
from modules.search.final import Final, Finalist
from modules.search.generation import Trunk
from modules.store import explained_write_errors, write_file, write_text

_VERSIONED = ("torch", "pytorch-lightning", "prefect", "mlflow", "hydra-core", "numpy", "onnxruntime")


class Deployed(NamedTuple):
    """What was made of the winner: `bundle` is relative to ESPALIER_HOME, None where none was asked for or passed."""

    latency_ms: float
    bundle: str | None


def deploy_winner(study: Study, trunk: Trunk, final: Final, test: Outputs) -> Deployed:
    """Keep the winner's files; make its bundle, or say at which check it broke."""
    folder = study.folder.path / "champion"
    with explained_write_errors(folder):
        latency_ms = keep_model(study, final.winner, folder)
    if study.settings.deployment is None:
        return Deployed(latency_ms, None)
    winner = _winner(study, trunk, final, test, latency_ms)
    try:
        bundle: Path = build(study.settings.deployment).deploy(winner, study.home, study.progress.say)
    except DeploymentError as error:
        study.progress.say(f"no bundle was made: {error}", "red")
        return Deployed(latency_ms, None)
    study.progress.say(f"bundle: {bundle}")
    return Deployed(latency_ms, bundle.relative_to(study.home).as_posix())


def keep_model(study: Study, finalist: Finalist, folder: Path) -> float:
    """A model as files: its description, its weights and the exported model; returns its latency in milliseconds."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = study.laboratory.store.folder("trials", finalist.trial.key) / "weights.safetensors"
    write_file(folder / "weights.safetensors", partial(shutil.copyfile, weights))
    write_text(folder / "recipe.json", finalist.recipe.model_dump_json(indent=1))
    tensors = safetensors.numpy.load_file(weights)
    exported = partial(export_onnx, finalist.recipe.architecture, tensors, study.laboratory.data.classes)
    write_file(folder / "model.onnx", exported)  # predictions trust what is there
    return measure_latency_ms(folder / "model.onnx")


def versions() -> dict[str, str]:
    """Of what the results may depend on."""
    return {name: version(name).partition("+")[0] for name in _VERSIONED} | {"python": platform.python_version()}


def _winner(study: Study, trunk: Trunk, final: Final, test: Outputs, latency_ms: float) -> Winner:
    finalist = final.winner
    architecture = finalist.recipe.architecture
    folder = study.folder.path / "champion"
    write_file(folder / "test_outputs.safetensors", test.write)
    return Winner(
        study=study.name,
        command=study.command,
        finished_at=finalist.trial.finished_at,
        data=study.laboratory.data,
        model=folder / "model.onnx",
        test_outputs=folder / "test_outputs.safetensors",
        recipe=finalist.recipe.content_digest,
        weights_sha256=finalist.trial.weights_sha256,
        architecture=f"{len(architecture.nodes)} nodes, {architecture.params:,} parameters",
        params=architecture.params,
        flops=architecture.flops,
        seed=study.settings.seed,
        val_error=finalist.seen.error,
        test_error=test.error,
        latency_ms=latency_ms,
        seconds=study.clock.seconds,
        energy=study.energy.summary(study.laboratory.numerics.device, latency_ms),
        training_wh=finalist.trial.energy_wh,
        kept_edits=_kept_edits(study, trunk, final),
        versions=versions(),
    )


def _kept_edits(study: Study, trunk: Trunk, final: Final) -> tuple[str, ...]:
    """The edits that the winner's network is made of; on a front, where branches go on too, its lineage has them."""
    rows = [row for generation in trunk.generations for row in generation.rows if row.edit != "control"]
    if study.settings.objective.is_pareto:
        rows = [row for row in rows if row.is_step_of(final.winner.lineage)]
        return tuple(f"{row.description}: {row.verdict if row.kept else 'it led to the front'}" for row in rows)
    return tuple(f"{row.description}: {row.verdict}" for row in rows if row.kept)
