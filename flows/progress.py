"""What a study says while it runs: a line for each thing done, and for the trial under way a bar or further lines."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from modules.workers.jobs import Report

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Lines on the console, with the seconds since the start."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._started = time.monotonic()
        self._bars: Bar | None = None  # one display for all trials under way
        self._num_bars = 0
        self._lock = threading.Lock()

    def say(self, text: str, style: str = "") -> None:
        """One line."""
        elapsed = time.monotonic() - self._started
        self.console.print(f"[dim]{elapsed:6.1f} s[/dim]  {escape(text)}", style=style or None, soft_wrap=True)

    @contextmanager
    def trial(self, label: str) -> Iterator[Report]:
        """A bar for a trial, gone when it ends; where there is no terminal, a line every ten seconds."""
        if not self.console.is_terminal:
            yield _Lines(self, label)
            return
        with self._shown_bars() as bars:
            task = bars.add_task(label, total=None, seen="")
            try:
                yield _Bar(self, label, bars, task)
            finally:
                bars.remove_task(task)

    @contextmanager
    def _shown_bars(self) -> Iterator[Bar]:
        """The display, there from the first trial under way to the end of the last."""
        with self._lock:
            self._num_bars += 1
            if self._bars is None:
                self._bars = Bar(*_columns(), console=self.console, transient=True)
                self._bars.start()
            bars = self._bars
        try:
            yield bars
        finally:
            with self._lock:
                self._num_bars -= 1
                if not self._num_bars:
                    bars.stop()
                    self._bars = None


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("         {task.description}"),
        BarColumn(16),
        TextColumn("{task.fields[seen]}"),
        TimeRemainingColumn(),
    )


class _News:
    """The latest report of a trial in words; a training that went back is said at once."""

    def __init__(self, progress: Progress, label: str) -> None:
        self.progress = progress
        self.label = label
        self._started = time.monotonic()
        self._first_samples: int | None = None
        self._doing: str | None = None
        self._steer = ""
        self._retreats = 0

    def _rate(self, report: dict[str, Any]) -> float:
        if self._first_samples is None or report.get("doing") != self._doing:
            # a training that goes on did not see all of its samples just now
            self._doing, self._first_samples, self._started = report.get("doing"), report["samples"], time.monotonic()
        return float((report["samples"] - self._first_samples) / max(1e-9, time.monotonic() - self._started))

    def _words(self, report: dict[str, Any], rate: float) -> str:
        if "epoch" not in report:  # of images that are looked at before the training
            return f"{report['doing']} · {rate:,.1f}/s"
        if report["retreats"] > self._retreats:
            self._retreats = report["retreats"]
            self.progress.say(f"{self.label}: the loss exploded; went back with half the rate", "yellow")
        if "steer_error" in report:
            self._steer = f" · steer {report['steer_error']:.2%}"
        return f"epoch {report['epoch']:.1f} · loss {report['train_loss']:.3f}{self._steer} · {rate:,.0f}/s"


class _Bar(_News):
    def __init__(self, progress: Progress, label: str, bar: Bar, task: TaskID) -> None:
        super().__init__(progress, label)
        self.bar = bar
        self.task = task

    def __call__(self, report: dict[str, Any]) -> None:
        seen = self._words(report, self._rate(report))
        self.bar.update(self.task, total=report["total_samples"], completed=report["samples"], seen=seen)


class _Lines(_News):
    def __init__(self, progress: Progress, label: str) -> None:
        super().__init__(progress, label)
        self._said = time.monotonic()

    def __call__(self, report: dict[str, Any]) -> None:
        rate = self._rate(report)
        words = self._words(report, rate)
        if time.monotonic() - self._said < _SECONDS_BETWEEN_LINES or not rate:
            return
        self._said = time.monotonic()
        samples = min(report["samples"], report["total_samples"])  # a last batch goes beyond
        left, share = (report["total_samples"] - samples) / rate, samples / report["total_samples"]
        self.progress.say(f"{self.label}: {share:.0%} · {words} · {_duration(left)} left", "dim")


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
