"""A look at a data set as files and as a table: before training, and beside every study."""

from pathlib import Path

from rich.table import Table

from modules.data.facts import read_facts
from modules.data.look import Look
from modules.report.palette import DARK, LIGHT, variables
from modules.report.report import template_environment
from modules.report.wording import number
from modules.store import write_bytes, write_text

SHEET = "contact_sheet.png"


def write_look(folder: Path, look: Look, home: Path) -> None:
    """The page, the figures, the contact sheet, and the table of all that was left out."""
    write_text(folder / "index.html", look_html(look))
    write_text(folder / "look.json", look.model_dump_json(indent=1, exclude={"classes": {"__all__": {"strip"}}}))
    write_text(folder / "left_out.csv", read_facts(home, look.data).left_out_csv())
    write_bytes(folder / SHEET, look.contact_sheet())


def look_html(look: Look) -> str:
    """The page."""
    page = template_environment().get_template("look_page.html")
    return page.render(look=look, light=variables(LIGHT), dark=variables(DARK))


def look_table(look: Look) -> Table:
    """Images of each class in each part, for a console."""
    table = Table(title=f"{look.data.name}: images of each class", title_justify="left", box=None, pad_edge=False)
    table.add_column("class")
    for part in look.facts.counts:
        table.add_column(part, justify="right")
    for one in look.classes:
        table.add_row(one.name, *map(number, one.counts))
    table.add_row("all", *(number(sum(counts)) for counts in look.facts.counts.values()), style="bold")
    return table


def look_lines(look: Look) -> list[str]:
    """Everything else, a sentence each."""
    channels, height, width = look.data.image_shape
    means = ", ".join(f"{mean:.3f} ± {std:.3f}" for mean, std in zip(look.data.mean, look.data.std, strict=True))
    lines = [f"size: {height} x {width}, {'colour' if channels == 3 else 'grey'}"]
    if look.facts.sizes:
        found = ", ".join(f"{height} x {width}" for height, width in look.facts.sizes)
        lines.append(f"files: {found} (smallest, a middle one, largest)")
    return [
        *lines,
        f"mean and spread of the training images' channels: {means} of 1",
        f"equal to another image: {number(look.facts.copies)}; much like another one: {number(look.facts.near_copies)}",
        f"left out: {number(look.num_left_out)}",
        *look.data.notes,
    ]
