"""Bundles in MLflow's registry: as what they are registered, and which one each alias belongs to."""

from pathlib import Path

from flows.listing import study_names
from flows.study import StudyFolder
from modules.deployment.bundles import manifest_of
from modules.deployment.promotions import live_promotion, promotions
from modules.tracking.registry import RegisteredBundle
from modules.tracking.sink import MlflowSink


def registered(bundle: Path) -> RegisteredBundle:
    """What the registry is told of a bundle; DeploymentError where it is not whole."""
    manifest = manifest_of(bundle)
    return RegisteredBundle(
        model=manifest.model,
        version=manifest.version,
        model_file=bundle / "model.onnx",
        image_shape=manifest.image_shape,
        num_classes=len(manifest.classes),
        description=(bundle / "MODEL_CARD.md").read_text(),
    )


def bundle_of_study(folder: StudyFolder) -> Path | None:
    """What a study that has ended was deployed as; None where there is none, or where it is gone."""
    bundle = (folder.read("summary.json") or {}).get("bundle")
    return folder.home / bundle if bundle is not None and (folder.home / bundle).is_dir() else None


def point_aliases(home: Path, sink: MlflowSink) -> None:
    """`challenger` to what the last study made of each model, `champion` to what is live of it."""
    bundles = [bundle_of_study(StudyFolder(home, name)) for name in study_names(home)]  # the oldest first
    for model, version in {bundle.parent.name: bundle.name for bundle in bundles if bundle is not None}.items():
        sink.point_alias(model, version, "challenger")
    for model in sorted({line.model for line in promotions(home)}):
        live = live_promotion(model, home)
        if live is not None and live.version is not None:
            sink.point_alias(model, live.version, "champion")
