"""One HTML file that shows a study, readable without a network, on paper, on a phone, in the dark."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules.energy.summary import UNKNOWN
from modules.energy.wording import emissions, millijoules, watt_hours
from modules.explanation.records import OneImage
from modules.report import figures
from modules.report.augmentation import policy_view
from modules.report.credit import COLUMNS, credit_cells, credit_figure, credit_headline
from modules.report.family_tree import family_tree
from modules.report.palette import DARK, LIGHT, themed, variables, with_own_names
from modules.report.reliability import reliability, reliability_caption
from modules.report.transfer import curve_caption, curve_figure, gears_view, heads_view
from modules.report.trust import trust
from modules.report.tuning_figures import tuning_captions, tuning_figures
from modules.report.view import StudyView
from modules.report.wording import (
    NOTHING,
    champion_of,
    duration,
    headline,
    key_figures,
    magnitude,
    number,
    outcome,
    percent,
    signed,
    why,
)
from modules.store import write_text
from modules.tracking.flattening import flattened

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATE = "report.html"
_ONE_IMAGE = "one_image.html"
_FIGURES: dict[str, Callable[[StudyView], str | None]] = {
    "loss_curves": figures.loss_curves,
    "error_curves": figures.error_curves,
    "front": figures.front,
    "effects": figures.effects,
    "confusion": figures.confusion,
    "range_test": figures.range_test,
    "reliability": reliability,
}
_WORST_CLASSES = 12
_HEADING = re.compile(r"<h2>(.+)</h2>")
_CONTENTS = "<!-- contents -->"  # links to the sections below it


def draw_figures(study: StudyView) -> dict[str, str]:
    """The figures that the study has something to show in, as SVG by name; drawing takes a second, so share them."""
    drawings = {name: draw(study) for name, draw in _FIGURES.items()} | {"family_tree": family_tree(study)}
    drawings |= {
        f"{tuning.when}_{name}": svg for tuning in study.tunings for name, svg in tuning_figures(tuning).items()
    }
    if study.heads is not None and study.heads.curve is not None:
        drawings["learning_curve"] = curve_figure(study.heads.curve)
    if study.credits is not None and study.credits.contributions:
        drawings["credit"] = credit_figure(study.credits)
    return {name: svg for name, svg in drawings.items() if svg is not None}


def write_report(path: Path, study: StudyView, drawings: dict[str, str] | None = None) -> None:
    """Write the report as a whole or not at all."""
    write_text(path, report_html(study, drawings))


def write_figures(folder: Path, study: StudyView, drawings: dict[str, str] | None = None) -> tuple[Path, ...]:
    """Write the report's figures as files of their own (SVG, light), for MLflow; says which were made."""
    written = []
    for name, svg in (drawings or draw_figures(study)).items():
        write_text(folder / f"{name}.svg", on_white(svg))
        written.append(folder / f"{name}.svg")
    return tuple(written)


def report_html(study: StudyView, drawings: dict[str, str] | None = None) -> str:
    """The page."""
    from markupsafe import Markup

    environment = template_environment()
    pictures = {
        name: Markup(themed(with_own_names(svg, name))) for name, svg in (drawings or draw_figures(study)).items()
    }
    energy = {**UNKNOWN, **(study.summary.get("energy") or {})}
    page = environment.get_template(_TEMPLATE).render(
        study=study,
        look=study.look,
        selection=study.selection,
        policy=policy_view(study.found_policy, study.data.classes) if study.found_policy else None,
        summary=study.summary,
        champion=champion_of(study),
        nothing=NOTHING,
        measured=energy["measured"],
        energy=energy,
        explanation=study.explanation,
        headline=headline(study),
        key_figures=key_figures(study),
        trust=trust(study),
        light=variables(LIGHT),
        dark=variables(DARK),
        tree=pictures.pop("family_tree"),
        figures=pictures,
        captions={**figures.captions(study), "reliability": reliability_caption(study)},
        tuning_captions={tuning.when: tuning_captions(tuning) for tuning in study.tunings},
        heads=heads_view(study.heads) if study.heads else None,
        gears=gears_view(study.gears) if study.gears else None,
        learning_curve=curve_caption(study.heads.curve) if study.heads and study.heads.curve else None,
        credit=_credit_section(study),
        worst_classes=_worst_classes(study),
        plan={name: value for name, value in flattened(study.plan).items() if value not in ("null", "0", "false")},
    )
    return _with_contents(page)


def one_image_html(name: str, said: OneImage) -> str:
    """The page that `espalier explain` writes."""
    template = template_environment().get_template(_ONE_IMAGE)
    return template.render(name=name, said=said, light=variables(LIGHT), dark=variables(DARK))


def template_environment() -> "Environment":
    """Where pages find their templates and what these can say."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "number": number,
        "magnitude": magnitude,
        "duration": duration,
        "outcome": outcome,
        "why": why,
        "signed": signed,
        "watt_hours": watt_hours,
        "millijoules": millijoules,
        "emissions": emissions,
    }
    return environment


def _with_contents(page: str) -> str:
    above, _, below = page.partition(_CONTENTS)
    names = {title: re.sub(r"\W+", "-", title).lower() for title in _HEADING.findall(below)}
    links = " ".join(f'<a href="#{name}">{title}</a>' for title, name in names.items())
    return above + links + _HEADING.sub(lambda found: f'<h2 id="{names[found[1]]}">{found[1]}</h2>', below)


def _credit_section(study: StudyView) -> dict[str, Any] | None:
    """Headline, columns and cells of the account by `espalier credit`; None where there is none."""
    if study.credits is None:
        return None
    rows = [credit_cells(one) for one in study.credits.contributions]
    return {"headline": credit_headline(study.credits), "columns": COLUMNS, "rows": rows}


def _worst_classes(study: StudyView) -> list[tuple[str, float, int, str]]:
    """Name, error, images and the class it is most often taken for; the worst first."""
    if study.confusion is None:
        return []
    rows = []
    for index, (row, error) in enumerate(zip(study.confusion, study.class_errors, strict=True)):
        if error:
            others = [count if other != index else -1 for other, count in enumerate(row)]
            taken_for = study.data.classes[others.index(max(others))]
            rows.append((study.data.classes[index], error, sum(row), taken_for))
    return sorted(rows, key=lambda row: -row[1])[:_WORST_CLASSES]


def on_white(svg: str) -> str:
    """With a ground of its own: outside the page the ground may be dark."""
    end = svg.index(">") + 1
    return f'{svg[:end]}<rect width="100%" height="100%" fill="{LIGHT["card"]}"/>{svg[end:]}\n'
