"""What a person reads at the end of a run: a table for the console, and the same as Markdown."""

from rich.console import RenderableType

from modules.report.view import StudyView


def study_table(study: StudyView) -> RenderableType:
    """Each generation's edits, their effects and what became of them; then the winner and where things are."""
    raise NotImplementedError


def study_markdown(study: StudyView) -> str:
    """The same for Prefect's and MLflow's pages."""
    raise NotImplementedError
