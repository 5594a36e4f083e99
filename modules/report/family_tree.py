"""The family tree of a study's edits as SVG: the trunk runs along the top, what was not kept hangs below it."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import escape

from modules.records import LedgerRow
from modules.report.palette import LIGHT
from modules.report.view import StudyView
from modules.report.wording import judgement, magnitude, outcome, signed

_WIDTH, _HEIGHT = 140, 52  # of a node
_ACROSS, _DOWN = 176, 66  # from node to node
_MARGIN, _TOP = 12, 30


class _Node(NamedTuple):
    column: int
    row: int
    parent: int  # index of a node; -1 for the root
    title: str
    lines: tuple[str, ...]
    standing: str  # "trunk", "kept", "refused"
    tooltip: str

    @property
    def left(self) -> int:
        return _MARGIN + self.column * _ACROSS

    @property
    def top(self) -> int:
        return _TOP + self.row * _DOWN


def family_tree(study: StudyView) -> str:
    """Generations from left to right: kept edits green and solid, the others grey and dashed, with their effects."""
    nodes = _nodes(study)
    columns = max(node.column for node in nodes) + 1
    width = 2 * _MARGIN + (columns - 1) * _ACROSS + _WIDTH
    height = _TOP + max(node.row for node in nodes) * _DOWN + _HEIGHT + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(described(study))}" font-family="system-ui, sans-serif" font-size="12">'
    ]
    parts += [_heading(column, heading) for column, heading in enumerate(_headings(study))]
    parts += [_branch(nodes[node.parent], node) for node in reversed(nodes) if node.parent >= 0]
    parts += [_box(node) for node in nodes]
    return "\n".join([*parts, "</svg>"])


def described(study: StudyView) -> str:
    """The tree in words, for those who cannot see it."""
    sentences = ["Family tree of edits."]
    for generation in study.ledger.generations:
        kept = [row.edit for row in generation.rows if row.kept and row.edit != "control"]
        others = [row.edit for row in generation.rows if not row.kept and row.edit != "control"]
        kept_text = f"kept {', '.join(kept)}" if kept else "kept the control"
        others_text = f"; not kept: {', '.join(others)}" if others else ""
        sentences.append(f"Generation {generation.number} {kept_text}{others_text}.")
    sentences += [f"{row.edit}: {outcome(row)}." for row in study.ledger.final]
    return " ".join(sentences)


def _headings(study: StudyView) -> list[str]:
    headings = ["baseline", *(f"generation {generation.number}" for generation in study.ledger.generations)]
    return [*headings, "final"] if study.ledger.final else headings


def _nodes(study: StudyView) -> list[_Node]:
    ledger, baseline = study.ledger, study.trials.get(study.ledger.baseline)
    lines = (f"{magnitude(baseline.params)} parameters",) if baseline else ()
    nodes = [_Node(0, 0, -1, "baseline", lines, "trunk", "The first network, trained without an edit.")]
    trunk, by_recipe = 0, {baseline.recipe: 0} if baseline else {}
    for column, generation in enumerate(ledger.generations, start=1):
        rows = sorted(
            generation.rows, key=lambda row: generation.winner_trial not in row.trials
        )  # stable: winner first
        first = len(nodes)
        nodes += [
            _node(row, column, place, by_recipe.get(row.parent, trunk), generation.winner_trial in row.trials)
            for place, row in enumerate(rows)
        ]
        winners = [first + place for place, row in enumerate(rows) if generation.winner_trial in row.trials]
        trunk = winners[0] if winners else trunk
        trained = {row.recipe: first + place for place, row in enumerate(rows) if row.trials}
        by_recipe |= {**trained, generation.winner: trunk}  # on a front, any of them may be the next parent
    column = len(ledger.generations) + 1
    final = sorted(ledger.final, key=lambda row: not row.kept)
    nodes += [_node(row, column, place, by_recipe.get(row.parent, trunk), row.kept) for place, row in enumerate(final)]
    return nodes


def _node(row: LedgerRow, column: int, place: int, parent: int, is_trunk: bool) -> _Node:
    standing = "trunk" if is_trunk else "kept" if row.kept else "refused"
    judged = row.confirm_effect or row.steer_effect
    mark = " ✓" if row.confirmed else ""
    size = f"{magnitude(row.params)} parameters"
    lines: Sequence[str] = (size,) if judged is None else (f"{signed(judged.estimate)} nats{mark}", size)
    tooltip = f"{row.description} {row.reason} {judgement(row)}"
    return _Node(column, place, parent, row.edit.removeprefix("final: "), tuple(lines), standing, tooltip)


def _heading(column: int, text: str) -> str:
    return f'<text x="{_MARGIN + column * _ACROSS}" y="18" fill="{LIGHT["muted"]}">{escape(text)}</text>'


def _branch(parent: _Node, node: _Node) -> str:
    x1, y1 = parent.left + _WIDTH, parent.top + _HEIGHT / 2
    x2, y2 = node.left, node.top + _HEIGHT / 2
    bend = x1 + (x2 - x1) / 2
    return f'<path d="M{x1} {y1} C{bend} {y1} {bend} {y2} {x2} {y2}" fill="none" {_stroke(node.standing)}/>'


def _box(node: _Node) -> str:
    ink = LIGHT["muted"] if node.standing == "refused" else LIGHT["ink"]
    title = node.title if len(node.title) <= 18 else f"{node.title[:17]}…"
    lines = "".join(
        f'<text x="{node.left + 10}" y="{node.top + 32 + 13 * place}" fill="{LIGHT["muted"]}" font-size="11">'
        f"{escape(line)}</text>"
        for place, line in enumerate(node.lines)
    )
    return (
        f"<g><title>{escape(node.tooltip)}</title>"
        f'<rect x="{node.left}" y="{node.top}" width="{_WIDTH}" height="{_HEIGHT}" rx="7" fill="{LIGHT["card"]}" '
        f"{_stroke(node.standing)}/>"
        f'<text x="{node.left + 10}" y="{node.top + 17}" fill="{ink}" font-weight="600">{escape(title)}</text>'
        f"{lines}</g>"
    )


def _stroke(standing: str) -> str:
    if standing == "refused":
        return f'stroke="{LIGHT["faint"]}" stroke-width="1" stroke-dasharray="4 4"'
    return f'stroke="{LIGHT["good"]}" stroke-width="{2.5 if standing == "trunk" else 1.5}"'
