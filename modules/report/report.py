"""One HTML file that shows a study, readable without a network, on paper, on a phone, in the dark."""

from pathlib import Path

from modules.report.view import StudyView


def write_report(path: Path, study: StudyView) -> None:
    """Write the report as a whole or not at all."""
    raise NotImplementedError


def write_figures(folder: Path, study: StudyView) -> tuple[Path, ...]:
    """Write the report's figures as files of their own (SVG, light), for MLflow; says which were made."""
    raise NotImplementedError
