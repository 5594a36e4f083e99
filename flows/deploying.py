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
from modules.records import Part
from modules.report.summary import FrontModel
from modules.search.final import Final, Finalist
from modules.search.generation import Trunk
from modules.store import explained_write_errors, write_file, write_text

_VERSIONED = ("torch", "pytorch-lightning", "prefect", "mlflow", "hydra-core", "numpy", "onnxruntime")


class Deployed(NamedTuple):
    """What was made of the winner: `bundle` is relative to ESPALIER_HOME, None where none was asked for or passed."""

    latency_ms: float
    bundle: str | None
    front: tuple[FrontModel, ...] = ()


def deploy_winner(study: Study, trunk: Trunk, final: Final, test: Outputs) -> Deployed:
    """Keep the files of the winner and of a front's members; make the winner's bundle, if one is asked for."""
    folder = study.folder.path
    latency_ms = _keep_model(study, final.winner, folder / "champion")
    members = enumerate(final.front, start=1)
    front = tuple(_keep_member(study, finalist, folder / "front" / str(number)) for number, finalist in members)
    target, bundle = study.settings.deployment, None
    if target is not None:
        bundle = _make_bundle(study, target, _winner(study, trunk, final, test, latency_ms))
    return Deployed(latency_ms, bundle, front)


def _make_bundle(study: Study, target: Part, winner: Winner) -> str | None:
    """The winner's bundle, relative to ESPALIER_HOME; says at which check it broke."""
    try:
        bundle: Path = build(target).deploy(winner, study.home, study.progress.say)
    except DeploymentError as error:
        study.progress.say(f"no bundle was made: {error}", "red")
        return None
    study.progress.say(f"bundle: {bundle}")
    return bundle.relative_to(study.home).as_posix()


def _keep_member(study: Study, finalist: Finalist, folder: Path) -> FrontModel:
    """A member of the front as files, and what it costs."""
    latency_ms = _keep_model(study, finalist, folder)
    architecture = finalist.recipe.architecture
    return FrontModel(
        recipe=finalist.recipe.content_digest,
        weights_sha256=finalist.trial.weights_sha256,
        params=architecture.params,
        flops=architecture.flops,
        val_error=finalist.seen.error,
        val_loss=finalist.seen.loss,
        latency_ms=latency_ms,
        folder=folder.relative_to(study.home).as_posix(),
    )


def _keep_model(study: Study, finalist: Finalist, folder: Path) -> float:
    """A model as files: its description, its weights and the exported model; returns its latency in milliseconds."""
    weights = study.laboratory.store.folder("trials", finalist.trial.key) / "weights.safetensors"
    tensors = safetensors.numpy.load_file(weights)
    exported = partial(export_onnx, finalist.recipe.architecture, tensors, study.laboratory.data.classes)
    with explained_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / "weights.safetensors", partial(shutil.copyfile, weights))
        write_text(folder / "recipe.json", finalist.recipe.model_dump_json(indent=1))
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
