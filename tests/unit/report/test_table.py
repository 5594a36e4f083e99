import io

import pytest
from made_up_study import made_up_view
from rich.console import Console

from modules.records import Ledger
from modules.report.table import study_markdown, study_table
from modules.report.view import StudyView


def shown(view: StudyView, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(study_table(view))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_person_sees_each_edit_with_its_effect_and_its_fate(width: int) -> None:
    view = made_up_view(3)
    text = shown(view, width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert "−0.0098 (−0.0145 to −0.0051)" in text
    for generation in view.ledger.generations:
        assert f"Generation {generation.number}" in text
    words = " ".join(text.split())
    for wanted in (
        "kept, confirmed",
        "control, stays",
        "from scratch",
        "validation error 0.49 % (confirm)",
        "test error 0.28 % of 9,828 images",
        "25 min 43 s",
        "3 reused, 0 failed",
        "mlruns/studies/mnist-3fa9c1d2/report.html",
        "sqlite:///mlruns/mlflow.db",
        f"{view.summary['champion']['params']:,} parameters",
    ):
        assert wanted in words


def test_brackets_are_not_taken_for_styles() -> None:
    view = made_up_view(1)
    generation = view.ledger.generations[0]
    row = generation.rows[1].updated(edit="[red]x[/red]", verdict="[bold]because[/nothing]")
    view = view.updated(ledger=view.ledger.updated(generations=(generation.updated(rows=(row,)),)))
    assert "[red]x[/red]" in shown(view, 120)
    assert "[bold]because[/nothing]" in shown(view, 120)


def test_a_study_without_edits_or_end_is_shown() -> None:
    view = made_up_view(1)
    summary = {**view.summary, "state": "failed", "champion": None}
    bare = view.updated(ledger=Ledger(study="x", baseline="none"), trials={}, summary=summary, confusion=None)
    assert "did not end" in shown(bare, 80)
    assert "winner" not in shown(bare, 80)
    assert "did not end" in study_markdown(bare)


def test_markdown_tables_are_whole() -> None:
    view = made_up_view(2)
    generation = view.ledger.generations[0]
    row = generation.rows[1].updated(description="a | b\nc", reason="<script>")
    view = view.updated(ledger=view.ledger.updated(generations=(generation.updated(rows=(row,)),)))
    lines = study_markdown(view).splitlines()
    rows = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    assert {line.count("|") for line in rows} == {7, 4}
    assert "<script>" not in "".join(lines)
    assert "a \\| b c" in "".join(lines)
