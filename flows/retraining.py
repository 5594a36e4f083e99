"""Training again what is live: if the data changed, from the live model's weights, and through the gate."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows.experiment import run_study
from flows.study import StudyFolder
from flows.translation import configured_data
from modules.config import Settings
from modules.store import Store, write_text


@dataclass(frozen=True)
class Live:
    """The model that serves: the study that it came from and the digest of the data it was trained on."""

    study: str
    data_digest: str


FindLive = Callable[[Path, str], Live | None]
Gate = Callable[[Path, str], str]  # home and the study whose winner wants to go live; says what became of it


def last_retrained(home: Path, data: str) -> Live | None:
    """Where no registry says what is live: the last study that a retraining of this data ended with."""
    path = home / "live" / f"{data}.txt"
    if not path.exists():
        return None
    study = path.read_text().strip()
    summary = StudyFolder(home, study).read("summary.json")
    return Live(study, summary["data"]["digest"]) if summary and summary["state"] == "completed" else None


def pass_all(home: Path, study: str) -> str:
    """Where there is no gate: every winner is the one that the next retraining goes on from."""
    summary = StudyFolder(home, study).read("summary.json")
    assert summary is not None, "a study that has ended has a summary"
    write_text(home / "live" / f"{summary['data']['name']}.txt", f"{study}\n")
    return f"study {study} ended; there is no gate, so that nothing was deployed"


def retrain(
    settings: Settings, home: Path, command: str, find_live: FindLive = last_retrained, gate: Gate = pass_all
) -> str:
    """A study on the data as it is now, unless it is as it was; what became of it, in a sentence."""
    data = configured_data(settings, Store(home / "store"))
    live = find_live(home, data.name)
    if live is not None and live.data_digest == data.digest:
        return f"the data has not changed since study {live.study} (digest {data.digest[:16]}); nothing was trained"
    if live is not None and settings.search.start is None:
        settings = settings.updated(search=settings.search.updated(start=live.study))
    run_study(settings, command)
    return gate(home, settings.study_name)
