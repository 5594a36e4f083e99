"""The report's section on what was deployed, from the bundle and from what the gate wrote down."""

import time
from pathlib import Path

from modules.deployment.bundles import manifest_of
from modules.deployment.manifest import Int8, Parity
from modules.deployment.promotions import promotions
from modules.errors import DeploymentError
from modules.report.view import BundleView

_OF_ITSELF = {"promoted": "It went live", "refused": "The gate refused it", "rolled back": "It went live again"}
_OF_ANOTHER = {"promoted": "{other} took its place", "rolled back": "It was taken back"}


def bundle_view(home: Path, bundle: str | None) -> BundleView | None:
    """Of a bundle by its path in `home`, as things are now; None where there is none or it is gone."""
    if bundle is None or not (home / bundle).exists():
        return None
    try:
        manifest = manifest_of(home / bundle)
    except DeploymentError as error:
        return BundleView(folder=str(home / bundle), checks=(), gate=f"It is no longer what was made: {error}.")
    checks = [_parity(manifest.parity)] if manifest.parity else []
    checks += [_int8(manifest.int8)] if manifest.int8 else []
    return BundleView(
        folder=str(home / bundle), checks=tuple(checks), gate=_gate(home, manifest.model, manifest.version)
    )


def _parity(parity: Parity) -> str:
    return (
        f"The trained network, the exported model and its server give the same class for all {parity.images:,} test "
        f"images; their probabilities differ by at most {max(parity.onnx, parity.http, parity.http_json):.1e}."
    )


def _int8(int8: Int8) -> str:
    return f"The int8 model was {'kept' if int8.kept else 'left out'}: {int8.reason}."


def _gate(home: Path, model: str, version: str) -> str:
    """What became of it last; another bundle's line counts where it says what took its place."""
    lines = [line for line in promotions(home) if line.model == model]
    own = [line for line in lines if line.version == version or (line.previous == version and line.action != "refused")]
    if not own:
        return "It has not been to the gate: nothing of it is live."
    last = own[-1]
    words = _OF_ITSELF if last.version == version else _OF_ANOTHER
    day = time.strftime("%Y-%m-%d", time.gmtime(last.at))
    return f"{words[last.action].format(other=last.version)} on {day}: {'; '.join(last.reasons)}."
