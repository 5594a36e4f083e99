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
from modules.deployment.gate import Decision, gate
from modules.deployment.manifest import Manifest
from modules.deployment.server.integrity import SUMS
from modules.errors import DeploymentError
from modules.records import Record
from modules.store import append_line, explained_write_errors

Action = Literal["promoted", "refused", "rolled back"]


class Promotion(Record):
    """A line: what was decided of a bundle, why, and what is live since."""

    schema_version: int = 1
    at: float  # unix seconds
    action: Action
    model: str
    version: str | None  # the bundle that this is about, live since unless refused; None where a study made none
    previous: str | None  # what was live before
    sums: str | None  # SHA-256 of the bundle's SHA256SUMS: an altered bundle does not go live again
    study: str
    data: str | None = None  # digest of the images that it was trained on
    reasons: tuple[str, ...]
    figures: dict[str, Any] = Field(default_factory=dict)


def promote(bundle: Path, home: Path) -> Promotion:
    """Send a bundle through the gate and write down what came of it: one that cannot be judged is refused."""
    manifest = manifest_of(bundle)
    _check_place(bundle, manifest, home)
    with _locked(home):
        live = _live(promotions(home), manifest.model)
        if live is not None and live.version == manifest.version:
            raise DeploymentError(f"{manifest.model} {manifest.version} is live already")
        decision = _judged(bundle, live, home)
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
                data=manifest.data.digest,
                reasons=decision.reasons,
                figures=decision.figures,
            ),
        )


def _check_place(bundle: Path, manifest: Manifest, home: Path) -> None:
    """DeploymentError for a bundle that would not be found again where what is live is looked for."""
    place = home / "bundles" / manifest.model / manifest.version
    if bundle.resolve() != place.resolve():
        raise DeploymentError(f"bundle {bundle} lies elsewhere than what can go live here; allowed is {place}")


def _judged(bundle: Path, live: Promotion | None, home: Path) -> Decision:
    try:
        return gate(bundle, bundle_of(live, home) if live else None, home)
    except DeploymentError as error:
        return Decision(goes_live=False, reasons=(str(error),), figures={})


def refuse(model: str, study: str, data: str, reason: str, home: Path) -> Promotion:
    """Write down that a study on these images (a digest) brought no bundle to the gate, so that nobody waits for it."""
    with _locked(home):
        live = _live(promotions(home), model)
        return _append(
            home,
            Promotion(
                at=time.time(),
                action="refused",
                model=model,
                version=None,
                previous=live.version if live else None,
                sums=None,
                study=study,
                data=data,
                reasons=(reason,),
            ),
        )


def rollback(model: str, home: Path) -> Promotion:
    """Make live again what was live before and is still whole; DeploymentError where there is nothing to go back to."""
    with _locked(home):
        history = _history(promotions(home), model)
        if len(history) < 2:
            known = sorted({line.model for line in promotions(home)})
            what = f"only {history[0].version} was ever live" if history else "it was never live"
            raise DeploymentError(
                f"nothing to go back to for {model!r}: {what} (models that were promoted: {', '.join(known) or 'none'})"
            )
        leaving = history[-1]
        earlier, passed_over = _earlier(history, home)
        changes = {"at": time.time(), "action": "rolled back", "previous": leaving.version, "figures": {}}
        reasons = (f"{leaving.version} was taken back by hand", *passed_over)
        return _append(home, earlier.updated(**changes, reasons=reasons))


def _earlier(history: list[Promotion], home: Path) -> tuple[Promotion, list[str]]:
    """The newest before what is live whose bundle is as it was, and what is wrong with those after it."""
    passed_over: list[str] = []
    for line in reversed(history[:-1]):
        if line.version == history[-1].version:
            continue
        try:
            bundle_of(line, home)
            return line, passed_over
        except DeploymentError as error:
            passed_over.append(str(error))
    raise DeploymentError("; ".join(dict.fromkeys(passed_over)))


def live_promotion(model: str, home: Path) -> Promotion | None:
    """The line by which a model's live bundle is live; None where none is."""
    return _live(promotions(home), model)


def bundle_of(promotion: Promotion, home: Path) -> Path:
    """The bundle of a line; DeploymentError where it is gone or is not the one that was promoted."""
    assert promotion.version is not None, "what has no bundle is refused"
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
            while live and live[-1].version != line.version:  # was passed over: it is gone or was altered
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
        with explained_write_errors(path.parent):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _append(home: Path, promotion: Promotion) -> Promotion:
    path = promotions_path(home)
    line = json.dumps(promotion.model_dump(mode="json"), allow_nan=False)
    with explained_write_errors(path.parent):
        if path.exists():
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)  # without the half line of a killed writer
        append_line(path, line)
        disk.in_use.flush(path.parent)
    return promotion


def _sums_of(bundle: Path) -> str:
    return hashlib.sha256((bundle / SUMS).read_bytes()).hexdigest()
