"""What is live, when and why: `bundles/promotions.jsonl`, to which lines are only ever added."""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from modules import disk
from modules.deployment.bundles import manifest_of
from modules.deployment.gate import gate
from modules.deployment.server.integrity import SUMS
from modules.errors import DeploymentError
from modules.records import Record
from modules.store import explained_write_errors

Action = Literal["promoted", "refused", "rolled back"]


class Promotion(Record):
    """A line: what was decided of a bundle, why, and what is live since."""

    schema_version: int = 1
    at: float  # unix seconds
    action: Action
    model: str
    version: str  # the bundle that this is about; live since, unless it was refused
    previous: str | None  # what was live before
    sums: str  # SHA-256 of the bundle's SHA256SUMS: an altered bundle does not go live again
    study: str
    reasons: tuple[str, ...]
    figures: dict[str, Any] = Field(default_factory=dict)


def promote(bundle: Path, home: Path) -> Promotion:
    """Send a bundle through the gate and write down what came of it."""
    manifest = manifest_of(bundle)
    with _locked(home):
        live = _live(promotions(home), manifest.model)
        if live is not None and live.version == manifest.version:
            raise DeploymentError(f"{manifest.model} {manifest.version} is live already")
        decision = gate(bundle, bundle_of(live, home) if live else None, home)
        return _append(
            home,
            Promotion(
                at=time.time(),
                action="promoted" if decision.goes_live else "refused",
                model=manifest.model,
                version=manifest.version,
                previous=live.version if live else None,
                sums=_sums_of(bundle),
                study=manifest.study,
                reasons=decision.reasons,
                figures=decision.figures,
            ),
        )


def rollback(model: str, home: Path) -> Promotion:
    """Make live again what was live before; DeploymentError where there is nothing to go back to."""
    with _locked(home):
        history = _history(promotions(home), model)
        if len(history) < 2:
            known = sorted({line.model for line in promotions(home)})
            what = f"only {history[0].version} was ever live" if history else "it was never live"
            raise DeploymentError(
                f"nothing to go back to for {model!r}: {what} (models that were promoted: {', '.join(known) or 'none'})"
            )
        leaving, earlier = history[-1], history[-2]
        bundle_of(earlier, home)
        changes = {"at": time.time(), "action": "rolled back", "previous": leaving.version, "figures": {}}
        reasons = (f"{leaving.version} was taken back by hand",)
        return _append(home, earlier.updated(**changes, reasons=reasons))


def live_promotion(model: str, home: Path) -> Promotion | None:
    """The line by which a model's live bundle is live; None where none is."""
    return _live(promotions(home), model)


def bundle_of(promotion: Promotion, home: Path) -> Path:
    """The bundle of a line; DeploymentError where it is gone or is not the one that was promoted."""
    folder = home / "bundles" / promotion.model / promotion.version
    manifest_of(folder)
    if _sums_of(folder) != promotion.sums:
        raise DeploymentError(f"bundle {folder} is not the one that was promoted: its {SUMS} is another one")
    return folder


def promotions(home: Path) -> list[Promotion]:
    """All lines, the oldest first."""
    path = promotions_path(home)
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    whole = [line for line in lines if line.endswith("\n")]  # one without an end was being written at a kill
    try:
        return [Promotion.model_validate_json(line) for line in whole]
    except ValidationError:
        raise DeploymentError(f"{path} has a line that this program did not write; put it back from a copy") from None


def _history(lines: list[Promotion], model: str) -> list[Promotion]:
    """What was live in turn, without what was taken back: the last one is live."""
    live: list[Promotion] = []
    for line in lines:
        if line.model == model and line.action == "promoted":
            live.append(line)
        elif line.model == model and line.action == "rolled back":
            live.pop()
    return live


def _live(lines: list[Promotion], model: str) -> Promotion | None:
    history = _history(lines, model)
    return history[-1] if history else None


def promotions_path(home: Path) -> Path:
    """Where the lines are."""
    return home / "bundles" / "promotions.jsonl"


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One decision at a time: what is live must not change while a challenger is judged."""
    path = promotions_path(home)
    with explained_write_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = (path.parent / ".promotions.lock").open("a")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _append(home: Path, promotion: Promotion) -> Promotion:
    path = promotions_path(home)
    line = json.dumps(promotion.model_dump(mode="json"), allow_nan=False) + "\n"
    with explained_write_errors(path.parent), path.open("ab+") as file:
        file.truncate(_whole_bytes(path))
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())
    disk.in_use.flush(path.parent)
    return promotion


def _whole_bytes(path: Path) -> int:
    """Up to the end of the last whole line."""
    return path.read_bytes().rfind(b"\n") + 1


def _sums_of(bundle: Path) -> str:
    return hashlib.sha256((bundle / SUMS).read_bytes()).hexdigest()
