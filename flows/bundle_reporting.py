"""The report's section on what was deployed, from the bundle and from what the gate wrote down."""

import time
from pathlib import Path

from modules.deployment.bundles import manifest_of
from modules.deployment.manifest import Int8, Parity
from modules.deployment.promotions import promotions
from modules.report.view import BundleView


def bundle_view(home: Path, bundle: str | None) -> BundleView | None:
    """Of a bundle by its path in `home`, as things are now; None where there is none or it is gone."""
    if bundle is None or not (home / bundle).exists():
        return None
    manifest = manifest_of(home / bundle)
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
    decisions = [line for line in promotions(home) if (line.model, line.version) == (model, version)]
    if not decisions:
        return "It has not been to the gate: nothing of it is live."
    last = decisions[-1]
    day = time.strftime("%Y-%m-%d", time.gmtime(last.at))
    what = {"promoted": "It went live", "refused": "The gate refused it", "rolled back": "It went live again"}[
        last.action
    ]
    return f"{what} on {day}: {'; '.join(last.reasons)}."
