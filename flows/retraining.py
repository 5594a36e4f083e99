"""Training again what is live: if the data changed, from the live model's weights, and through the gate."""

from pathlib import Path

from flows.experiment import run_study
from flows.live import gate, said
from flows.translation import configured_data
from modules.config import Settings
from modules.deployment.bundles import find_bundle
from modules.deployment.promotions import Promotion, live_promotion, promotions, refuse
from modules.errors import ConfigError, DeploymentError
from modules.store import Store


def retrain(settings: Settings, home: Path, command: str) -> str:
    """A study on the data as it is now, unless one on it was judged; what became of it, in a sentence."""
    if settings.deployment is None:
        raise ConfigError("deployment=none leaves a retraining nothing to bring to the gate; allowed is a bundle")
    data = configured_data(settings, Store(home / "store"))
    judged = last_judged(data.name, home)
    if judged is not None and judged.data == data.digest:
        return f"the data has not changed since study {judged.study} (digest {data.digest[:16]}); nothing was trained"
    live = live_promotion(data.name, home)
    if live is not None and settings.study_name == live.study:
        raise ConfigError(
            f"study={live.study} is the study that is live as {live.model} {live.version}, which a retraining starts "
            "from; allowed is any other name"
        )
    if live is not None and settings.search.start is None:
        # What goes on from the live model does not start from other weights.
        settings = settings.updated(search=settings.search.updated(start=live.study), pretrained="none")
    run_study(settings, command)
    try:
        bundle = find_bundle(settings.study_name, home)
    except DeploymentError:  # written down, or each tick of the clock would train anew what cannot be judged
        reason = f"study {settings.study_name} ended without a bundle, as a check of it failed"
        return said(refuse(data.name, settings.study_name, data.digest, reason, home))
    return said(gate(bundle, home, settings.tracking.uri))


def last_judged(model: str, home: Path) -> Promotion | None:
    """The last decision on what a study made of a model; None where there was none."""
    lines = [line for line in promotions(home) if line.model == model and line.action != "rolled back"]
    return lines[-1] if lines else None
