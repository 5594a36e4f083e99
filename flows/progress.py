"""What a study says while it runs: a line for each thing done, and on a terminal a bar for the trial under way."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from modules.workers.jobs import Report


class Progress:
    """Lines on the console, with the seconds since the start."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._started = time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        """One line."""
        elapsed = time.monotonic() - self._started
        self.console.print(f"[dim]{elapsed:6.1f} s[/dim]  {escape(text)}", style=style or None, soft_wrap=True)

    @contextmanager
    def trial(self, label: str) -> Iterator[Report]:
        """A bar for a trial, gone when it ends; where there is no terminal, nothing until the trial's own line."""
        if not self.console.is_terminal:
            yield lambda progress: None
            return
        columns = (
            TextColumn("         {task.description}"),
            BarColumn(16),
            TextColumn("{task.fields[seen]}"),
            TimeRemainingColumn(),
        )
        with Bar(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(label, total=None, seen="")
            yield _reporter(bar, task)


def _reporter(bar: Bar, task: TaskID) -> Report:
    started = time.monotonic()

    def report(progress: dict[str, Any]) -> None:
        rate = progress["samples"] / max(1e-9, time.monotonic() - started)
        seen = f"{rate:,.0f}/s"
        if "steer_error" in progress:
            loss, error = progress["train_loss"], progress["steer_error"]
            seen += f" · epoch {progress['epoch']} · loss {loss:.3f} · steer {error:.2%}"
        bar.update(task, total=progress["total_samples"], completed=progress["samples"], seen=seen)

    return report
