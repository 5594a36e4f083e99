"""Shows studies in MLflow: written from the store, at once or again, never the place where anything is kept."""

from collections.abc import Sequence
from pathlib import Path

from modules.tracking.records import StudyEnd, StudyRun, TrialRun


class MlflowSink:
    """Writes runs under a tracking URI. Nothing it does raises: the first fault is one warning, then it stays off.

    `artifacts` is where a database on this machine keeps artifacts (a server keeps its own); `home` is ESPALIER_HOME.
    All calls are idempotent and may come from any thread.
    """

    def __init__(self, uri: str, artifacts: Path, home: Path) -> None:
        self.uri, self.artifacts, self.home = uri, artifacts, home

    @property
    def is_on(self) -> bool:
        """Whether nothing has failed so far."""
        raise NotImplementedError

    def open_in_background(self) -> None:
        """Import MLflow and make its database (3 to 4 seconds) while something else goes on."""
        raise NotImplementedError

    def write_study(self, study: StudyRun) -> None:
        """Make or find the study's run and mark it running."""
        raise NotImplementedError

    def write_trial(self, study: str, trial: TrialRun) -> None:
        """Make or complete the trial's run under its study's (which `write_study` has written before)."""
        raise NotImplementedError

    def finish_study(self, end: StudyEnd) -> None:
        """Give the study's run its end, its champion's figures and its artifacts."""
        raise NotImplementedError

    def rebuild(self, study: StudyRun, trials: Sequence[TrialRun], end: StudyEnd | None) -> None:
        """Write a whole study again, also after a fault; runs of trials that are no longer part of it go."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the database; a later call opens it again."""
        raise NotImplementedError
