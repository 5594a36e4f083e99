"""A look at the images that a configuration names; no torch, nothing is trained."""

from pathlib import Path

from rich.console import Console

from flows.translation import configured_data
from modules.config import Settings
from modules.data.look import look_at
from modules.report.look import look_lines, look_table, write_look
from modules.store import Store, explained_write_errors


def look_at_data(settings: Settings, home: Path) -> Path:
    """Read the images, say what they are and write a page about them; returns its path."""
    with explained_write_errors(home):
        home.mkdir(parents=True, exist_ok=True)
        data = configured_data(settings, Store(home / "store"))
        look = look_at(home, data)
        folder = home / "data" / f"{data.name}-{data.digest[:8]}"
        write_look(folder, look, home)
    console = Console(highlight=False)
    console.print(look_table(look))
    for line in look_lines(look):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"page: {folder / 'index.html'}", markup=False, soft_wrap=True)
    return folder / "index.html"
