"""A study while it runs: its folder, its lock, its clock, and everything that its stages share."""

import fcntl
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, TypeVar

from flows.energy_account import EnergyAccount
from flows.progress import Progress
from flows.side_by_side import side_by_side
from flows.translation import configured_laboratory, configured_wishes
from flows.watchdog import is_locked
from modules.config import Settings
from modules.errors import StudyError
from modules.garbage import in_use, named_in, study_folders
from modules.recipe import Recipe
from modules.records import CurvePoint, DataRecord, TrialResult
from modules.search.augmentation import FoundPolicy
from modules.search.laboratory import FittedHead, Laboratory
from modules.search.plan import Plan
from modules.search.prior import Prior
from modules.search.selecting.found import FoundSelection
from modules.store import Store, append_line, explained_write_errors, write_text
from modules.tracking.flattening import flattened
from modules.tracking.records import TrialRun
from modules.tracking.sink import MlflowSink
from modules.training.spec import Start, TrialSpec
from modules.workers.pool import Workers

R = TypeVar("R")
S = TypeVar("S")
_KEY = re.compile(r"[0-9a-f]{32}")
_TRIALS = "trials.jsonl"
_SECONDS_BETWEEN_ACCOUNTS = 1.0  # so much of its time a killed study may forget
_TURNS, _SECONDS_BETWEEN_TURNS = 10, 0.02  # since who asks whether a study is running holds it for a moment, too
_WRITTEN = (
    "*.json",
    _TRIALS,
    "report.html",
    "figures",
    "data",
    "champion",
    "front",
    "credit",
    "suspects-*.html",
    ".*.json-*",
    ".report.html-*",
)


@dataclass
class StudyFolder:
    """`studies/<name>` under ESPALIER_HOME."""

    home: Path
    name: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.home / "studies" / self.name

    @property
    def is_running(self) -> bool:
        """Whether a process holds it."""
        return is_locked(self.path / ".lock")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the study for this process, and the store with others; StudyError where another one runs it."""
        with explained_write_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("a+")
        with lock:
            self._take(lock)
            with in_use(self.home):
                yield

    def _take(self, lock: IO[str]) -> None:
        try:
            with explained_write_errors(self.path):
                _lock_soon(lock)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "another process"
            raise StudyError(
                f"study {self.name!r} is already running ({owner}); wait for it, or give this one another name with "
                "study=NAME"
            ) from None
        with explained_write_errors(self.path):
            lock.truncate(0)
            os.write(lock.fileno(), f"process {os.getpid()}".encode())  # not through a buffer: closing would fail again

    def has_begun(self, content: dict[str, Any]) -> bool:
        """Whether a run with these settings has left something to go on from: a plan, or trials of a selection.

        Without either nothing was trained, and what lies here is of a run that was refused. A plan counts whatever the
        settings are, so that a study under a name that is taken is refused.
        """
        return (self.path / "plan.json").exists() or (bool(self.trials) and self.read("settings.json") == content)

    def start_over(self, store: Store) -> None:
        """Forget what the study decided, trained and wrote: all of it will be made again, but what others need."""
        shared = self._named_elsewhere() if self.trials else set()
        for key in self.trials:
            if key not in shared:
                store.remove("trials", key)
        with explained_write_errors(self.path):
            for name in ("plan.json", "settings.json"):  # first: a run after a kill has to start over, too
                (self.path / name).unlink(missing_ok=True)
            for path in [path for pattern in _WRITTEN for path in self.path.glob(pattern)]:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.__dict__.pop("trials", None)  # they are read again

    def _named_elsewhere(self) -> set[str]:
        """What other studies found in the store or went on from; variants in this one's folder start over with it."""
        others = [folder for folder in study_folders(self.home) if not folder.is_relative_to(self.path)]
        return {key for folder in others for key in named_in(folder)}

    def note_trial(self, key: str, **place: Any) -> None:
        """Remember that a trial belongs to this study, and where in it."""
        if self.trials.get(key) != place:
            append_line(self.path / _TRIALS, json.dumps({"key": key, **place}))
            self.trials.pop(key, None)  # the place that was noted last is the last one
            self.trials[key] = place

    @cached_property
    def trials(self) -> dict[str, dict[str, Any]]:
        """The places of the trials that belong to this study, by their keys, in the order of their last notes."""
        path = self.path / _TRIALS
        noted: dict[str, dict[str, Any]] = {}
        for line in path.read_text().splitlines() if path.exists() else []:
            with suppress(ValueError, KeyError, TypeError):  # half a line of a killed writer
                place = json.loads(line)
                if _KEY.fullmatch(key := place.pop("key")):
                    noted.pop(key, None)
                    noted[key] = place
        return noted

    def read(self, name: str) -> dict[str, Any] | None:
        """One of the study's JSON files; None where it is not there, StudyError where something else wrote into it."""
        path = self.path / name
        if not path.exists():
            return None
        try:
            content: dict[str, Any] = json.loads(path.read_text())
        except ValueError as error:
            raise StudyError(
                f"{path} is damaged ({error}); restore it, or start the study over with fresh=true"
            ) from None
        return content

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Replace one of the study's JSON files as a whole."""
        write_text(self.path / name, json.dumps(value, indent=1) + "\n")


def _lock_soon(lock: IO[str]) -> None:
    """Lock a file for this process alone; BlockingIOError where another one keeps it."""
    for _ in range(_TURNS):
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_SECONDS_BETWEEN_TURNS)
    raise BlockingIOError


@dataclass
class Clock:
    """The seconds that a study has taken, summed over its resumptions."""

    folder: StudyFolder
    started_at: float = field(default_factory=time.time)
    _since: float = field(default_factory=time.monotonic)
    _before: float = 0.0

    def __post_init__(self) -> None:
        kept = self.folder.read("clock.json")
        if kept is not None:
            self._before, self.started_at = kept["seconds"], kept["started_at"]

    @property
    def seconds(self) -> float:
        """So far, with earlier runs of the study."""
        return self._before + self.session_seconds

    @property
    def session_seconds(self) -> float:
        """Since this run of it began."""
        return time.monotonic() - self._since

    @property
    def now(self) -> float:
        """Unix seconds; where the machine's clock was set back, what the study began with and has taken since."""
        return max(time.time(), self.started_at + self.seconds)

    def keep(self) -> None:
        """Write the time down, so that a kill loses little of it."""
        self.folder.write("clock.json", {"seconds": self.seconds, "started_at": self.started_at})


@dataclass
class Study:
    """What the stages of a study share: where it lives, who works for it, and what was done so far."""

    settings: Settings
    home: Path
    folder: StudyFolder
    pool: Workers
    sink: MlflowSink | None
    progress: Progress
    clock: Clock
    energy: EnergyAccount
    command: str
    runs: dict[str, TrialRun] = field(default_factory=dict)  # by trial key, in the order in which they ended
    reused: int = 0
    failed: int = 0
    found: FoundSelection | None = None  # the selection that trainings of this study found
    policy: FoundPolicy | None = None  # the augmentation that trainings of this study found
    is_tracked: bool = False  # whether MLflow knows the study: trials wait until it does
    prior: Prior = field(default_factory=Prior)  # what earlier studies taught
    beside: Collection[str] = ()  # studies that it does not learn from, as it is run to be compared with them
    _laboratory: Laboratory | None = None
    _kept_seconds: float = 0.0  # of this run, when its time and energy were last written down
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _deciding: threading.Lock = field(default_factory=threading.Lock)
    _under_way: dict[str, threading.Lock] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.folder.name

    @property
    def laboratory(self) -> Laboratory:
        """Where trials are done; open once the data is there."""
        assert self._laboratory is not None
        return self._laboratory

    @property
    def is_open(self) -> bool:
        """Whether the data was read and trials can be done."""
        return self._laboratory is not None

    def open_laboratory(self, data: DataRecord) -> None:
        """Find out what the workers compute with, and be ready for trials on `data`."""
        self._laboratory = configured_laboratory(self.settings, self.home, self.pool, data)

    def seed(self, replicate: int) -> int:
        """The seed of the first, second, … training of a recipe."""
        return self.settings.seed + 1000 * replicate

    def each(self, calls: Sequence[Callable[[], R]]) -> list[R]:
        """The results of calls that need nothing of each other: side by side if several workers can do them."""
        if self.pool.size == 1:
            return [call() for call in calls]
        return side_by_side(calls, give_up=self.pool.close)

    def both(self, one: Callable[[], R], other: Callable[[], S]) -> tuple[R, S]:
        """As `each`, for two calls with different results."""
        calls: list[Callable[[], Any]] = [one, other]
        first, second = self.each(calls)
        return first, second

    def trial(
        self,
        spec: TrialSpec,
        role: str,
        generation: int | None,
        edit: str | None,
        parameters: Mapping[str, str] | None = None,
        shown: bool = True,
    ) -> TrialResult:
        """Find a trial in the store or train it; count it, and where it is to be shown, say it and show it in MLflow.

        `parameters` are shown besides those of its recipe.
        """
        place = f"generation {generation} " if generation else ""
        label = f"{place}{edit or role} seed {spec.seed}"
        with self._alone_with(spec.key):
            result = self.laboratory.found(spec)
            reused = result is not None
            if result is None:
                with self.progress.trial(label) as report:
                    result = self.laboratory.train(spec, report)
                with self._lock:
                    self.energy.add_trial(result.energy_wh)
        run = TrialRun(
            role=role,
            result=result,
            generation=generation,
            edit=edit,
            parameters=flattened(spec.recipe.model_dump(mode="json", exclude={"architecture"}))
            | dict(parameters or {}),
            reused=reused,
            co2_g=None if result.energy_wh is None else self.energy.grid.grams(result.energy_wh),
        )
        with self._lock:
            self._note(run, label, shown, parameters)
        return result

    @contextmanager
    def _alone_with(self, key: str) -> Iterator[None]:
        """Two edits may come to the same trial: the second then finds what the first trained."""
        with self._lock:
            lock = self._under_way.setdefault(key, threading.Lock())
        with lock:
            yield

    def count_failure(self) -> None:
        """A trial came to nothing."""
        with self._lock:
            self.failed += 1

    def _note(self, run: TrialRun, label: str, shown: bool, parameters: Mapping[str, str] | None) -> None:
        key = run.result.key
        more = {"parameters": dict(parameters)} if parameters else {}
        self.folder.note_trial(key, role=run.role, generation=run.generation, edit=run.edit, **more)
        if key not in self.runs:
            self.reused += run.reused
            if shown:
                self.progress.say(_trial_line(label, run.result, run.reused))
        self.runs[key] = run
        if shown:
            self.show(key)
        self._keep_accounts()

    def show(self, key: str) -> None:
        """Show one of the study's trials in MLflow."""
        if self.sink is not None and self.is_tracked:
            self.sink.write_trial(self.name, self.runs[key])

    def fit_head(
        self, label: str, recipe: Recipe, start: Start, num_folds: int, penalty: float | None = None
    ) -> FittedHead:
        """Find a last layer on frozen features in the store or fit it; count what that took."""
        with self.progress.trial(label) as report:
            fitted = self.laboratory.fit_head(recipe, start, num_folds, self.settings.seed, report, penalty)
        with self._lock:
            if not fitted.reused:
                self.energy.add_trial(fitted.record["energy_wh"])
            self._keep_accounts()
        return fitted

    def begin(self, spec: TrialSpec, generation: int, edit: str) -> CurvePoint:
        """Find a trial's first look in the store or train it so far; say it."""
        label = f"generation {generation} {edit} seed {spec.seed}, first half"
        with self.progress.trial(label) as report:
            look = self.laboratory.begin(spec, report)
        with self._lock:
            self.progress.say(f"{label}: steer error {look.steer_error:.2%}, loss {look.steer_loss:.4f}")
            self._keep_accounts()
        return look

    def _keep_accounts(self) -> None:
        """Write down what was used, but not after each of many short trials, which would wait for it."""
        now = self.clock.session_seconds
        if now >= self._kept_seconds + _SECONDS_BETWEEN_ACCOUNTS:
            self._kept_seconds = now
            self.clock.keep()
            self.energy.keep()

    def learnt(self, what: str, sentence: str) -> None:
        """Keep what earlier studies were used for, for the report."""
        sentences = self.folder.read("learnt.json") or {}
        if sentences.get(what) != sentence:
            self.folder.write("learnt.json", {**sentences, what: sentence})
            self.progress.say(sentence)

    def planned(self, make: Callable[[], Plan], is_kept: bool = True) -> Plan:
        """The plan, which turns the budget into samples once: a study that goes on reads it from its folder."""
        kept = self.folder.read("plan.json")
        plan = Plan.model_validate(kept) if kept else make()
        if plan.may_grow is None:  # a new one, or one of a study that began before plans said so
            is_open = configured_wishes(self.settings).leaves_finals_open
            plan = plan.updated(may_grow=plan.seconds is not None and is_open)
        if is_kept:
            self.folder.write("plan.json", plan.model_dump(mode="json"))
        self.progress.say(f"plan: {plan.note}")
        return plan

    def has_decided(self, question: str) -> bool:
        """Whether there is an answer to a question already."""
        return question in (self.folder.read("decisions.json") or {})

    def decided(self, question: str, decide: Callable[[], Any]) -> Any:
        """The answer (JSON) to a question that depends on the clock: asked once, then read from the study's folder."""
        with self._deciding:
            decisions = self.folder.read("decisions.json") or {}
            if question not in decisions:
                decisions[question] = decide()
                self.folder.write("decisions.json", decisions)
            return decisions[question]


def _trial_line(label: str, result: TrialResult, reused: bool) -> str:
    how = "from the store" if reused else f"{result.seconds:.1f} s, {result.samples / result.seconds:,.0f} images/s"
    return f"{label}: steer error {result.steer_error:.2%}, loss {result.steer_loss:.4f} ({how})"
