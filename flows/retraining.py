"""Training again what is live: if the data changed, from the live model's weights, and through the gate."""

from pathlib import Path
from typing import NamedTuple

from flows.experiment import run_study
from flows.live import gate, said
from flows.translation import configured_data
from modules.config import Settings
from modules.deployment.bundles import find_bundle, manifest_of
from modules.deployment.promotions import live_promotion, promotions
from modules.errors import ConfigError, DeploymentError
from modules.store import Store


class Judged(NamedTuple):
    """The study whose bundle the gate saw last, and the digest of its data."""

    study: str
    data_digest: str


def retrain(settings: Settings, home: Path, command: str) -> str:
    """A study on the data as it is now, unless the gate has seen one on it; what became of it, in a sentence."""
    if settings.deployment is None:
        raise ConfigError("deployment=none leaves a retraining nothing to bring to the gate; allowed is a bundle")
    data = configured_data(settings, Store(home / "store"))
    judged = last_judged(data.name, home)
    if judged is not None and judged.data_digest == data.digest:
        return f"the data has not changed since study {judged.study} (digest {data.digest[:16]}); nothing was trained"
    live = live_promotion(data.name, home)
    if live is not None and settings.search.start is None:
        # What goes on from the live model does not start from other weights.
        settings = settings.updated(search=settings.search.updated(start=live.study), pretrained="none")
    run_study(settings, command)
    bundle = find_bundle(settings.study_name, home)
    if live is not None and manifest_of(bundle).version == live.version:
        return f"study {settings.study_name} ended with the weights that are live as {live.model} {live.version}"
    return said(gate(bundle, home, settings.tracking.uri))


def last_judged(model: str, home: Path) -> Judged | None:
    """What the gate saw last of a model; None where it saw nothing, or where that bundle is gone."""
    lines = [line for line in promotions(home) if line.model == model and line.action != "rolled back"]
    if not lines:
        return None
    try:
        manifest = manifest_of(home / "bundles" / model / lines[-1].version)
    except DeploymentError:
        return None
    return Judged(manifest.study, manifest.data.digest)
