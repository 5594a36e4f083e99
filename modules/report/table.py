"""What a person reads at the end of a run: a table for the console, and the same as Markdown."""

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from modules.energy.wording import watt_hours
from modules.records import LedgerRow
from modules.report.view import StudyView
from modules.report.wording import (
    NOTHING,
    champion_of,
    duration,
    effect,
    energy_remark,
    headline,
    judgement,
    key_figures,
    magnitude,
    number,
    outcome,
    percent,
    signed,
)


def study_table(study: StudyView) -> RenderableType:
    """Each generation's edits, their effects and what became of them; then the winner and where things are."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    table.add_column("edit", no_wrap=True)
    table.add_column("effect (95 %)", no_wrap=True)
    table.add_column("params", justify="right", no_wrap=True)
    table.add_column("outcome", ratio=1, min_width=16)
    for heading, rows in _sections(study):
        table.add_row()
        table.add_row(Text(heading, style="bold"))
        for row in rows:
            table.add_row(_edit(row), _effect(row), magnitude(row.params), _outcome(row))
    parts: list[RenderableType] = [Text(headline(study), style="bold")]
    parts += [table] if table.rows else []
    return Group(*parts, Text(), _facts(study))


def study_markdown(study: StudyView) -> str:
    """The same for Prefect's page; what is longest comes last, since its tables are wider than a window."""
    lines = [f"# {_cell(str(study.summary.get('study', '')))}", "", _cell(headline(study)), ""]
    for heading, rows in _sections(study):
        lines += [
            f"## {heading}",
            "",
            "| edit | effect on steer | effect on confirm | parameters | outcome | what and why |",
        ]
        lines += ["| --- | --- | --- | ---: | --- | --- |", *(_markdown_row(row) for row in rows), ""]
    lines += ["| figure | value | |", "| --- | ---: | --- |"]
    lines += [f"| {name} | {_cell(value)} | {_cell(remark)} |" for name, value, remark in key_figures(study)]
    lines += ["", *(f"- {name}: `{text}`" for name, text in _places(study))]
    lines += [f"- front {place}: {front_line(model)}" for place, model in _front(study)]
    lines += [f"- {_cell(study.stop_reason)}"] if study.stop_reason else []
    return "\n".join(lines).rstrip() + "\n"


def _sections(study: StudyView) -> Iterator[tuple[str, tuple[LedgerRow, ...]]]:
    for generation in study.ledger.generations:
        contest = f", a contest of {generation.contest}" if generation.contest else ""
        yield f"Generation {generation.number}{contest}", generation.rows
    if study.ledger.final:
        yield "Final training", study.ledger.final


def _edit(row: LedgerRow) -> Text:
    return Text(f"  {row.edit.removeprefix('final: ')}", style="green" if row.kept else "")


def _effect(row: LedgerRow) -> Text:
    """From confirm where it was opened, as that is what is claimed."""
    judged = row.confirm_effect or row.steer_effect
    if judged is None:
        return Text(NOTHING, style="dim")
    text = Text(signed(judged.estimate))
    text.append(f" ({signed(judged.low)} to {signed(judged.high)})", style="dim")
    return text


def _outcome(row: LedgerRow) -> Text:
    text = Text(outcome(row), style="green" if row.kept else "")
    text.append(judgement(row).removeprefix(outcome(row)), style="dim")
    return text


def _facts(study: StudyView) -> Table:
    champion, summary = champion_of(study), study.summary
    trials, test_images = summary.get("trials") or {}, study.data.num_images.get("test")
    facts = [
        ("winner", f"{number(champion.get('params'))} parameters, {magnitude(champion.get('flops'))} FLOP an image"),
        ("validation error", f"{percent(champion.get('val_error'))} (confirm)"),
        ("test error", f"{percent(champion.get('test_error'))} of {number(test_images)} images"),
        (
            "time",
            f"{duration(summary.get('seconds'))}, {number(trials.get('count'))} trials "
            f"({trials.get('reused', 0)} reused, {trials.get('failed', 0)} failed)",
        ),
    ]
    energy = summary.get("energy") or {}
    if energy.get("wh") is not None:
        facts.append(
            ("energy", f"{watt_hours(energy['wh'], energy['measured'])}, {energy_remark(energy)}; {energy['method']}")
        )
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in [*(facts if champion else facts[3:]), *_places(study)]:
        grid.add_row(name, Text(text, style="bold" if name == "test error" else ""))
    for place, model in _front(study):
        grid.add_row(f"front {place}", Text(front_line(model)))
    if study.stop_reason:
        grid.add_row("ended", Text(study.stop_reason))
    return grid


def _front(study: StudyView) -> list[tuple[int, dict[str, Any]]]:
    return list(enumerate(study.summary.get("front") or (), start=1))


def front_line(model: dict[str, Any]) -> str:
    """A member of the front in words."""
    return (
        f"{number(model['params'])} parameters, {magnitude(model['flops'])} FLOP, {model['latency_ms']:.2f} ms: "
        f"{percent(model['val_error'])} error on confirm, in {model['folder']}"
    )


def _places(study: StudyView) -> list[tuple[str, str]]:
    places = (("report", study.report), ("MLflow", study.tracking))
    return [(name, place) for name, place in places if place]


def _markdown_row(row: LedgerRow) -> str:
    name = f"**{row.edit}**" if row.kept else row.edit
    what = ": ".join(filter(None, (row.description, row.reason)))
    effects = (effect(row.steer_effect), effect(row.confirm_effect))
    cells = (name, *effects, number(row.params), judgement(row), what)
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    """Without what would end a cell or begin a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
