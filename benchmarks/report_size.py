"""How large is the report of a study of 500 trials, and how soon is it there? Targets: under 5 MB, under 2 s.

    python -m benchmarks.report_size                 # digits, a minute on 2 cores; needs chromium
    python -m benchmarks.report_size --trials 1000

A brief study with two generations is run in an ESPALIER_HOME of its own, explanation and all. Its generations are then
repeated, with trials of other keys and curves as they are, until its view has so many trials, and the report is
written from that view as `espalier report` does it. It is opened three times in a headless Chromium of its own with
an empty profile; what counts is the median from the start of the navigation to the end of the load event, and to the
first picture.
"""

import argparse
import statistics
import time
from pathlib import Path

from benchmarks.commands import empty_home, run_study
from benchmarks.rows import Row, print_rows
from modules.records import GenerationRecord, TrialResult
from modules.report.report import write_report
from modules.report.view import StudyView
from tests.integration.browser import Browser

_MOST_BYTES, _MOST_SECONDS = 5_000_000, 2.0
_BRIEF = (
    "search.generations=2",
    "search.slice_samples=1920",
    "search.baseline_samples=3840",
    "search.final_samples=3840",
    "orchestrator=inline",
    "tracking.enabled=false",
)
_TIMES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500, help="of the study that is made up (default 500)")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the study and the long report in")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="for `espalier run`")
    arguments = parser.parse_intermixed_args()
    with empty_home(arguments.keep) as home:
        study = run_study([*_BRIEF, *arguments.overrides], home)
        view = home / "studies" / study.summary["study"] / "view.json"
        long = lengthened(StudyView.model_validate_json(view.read_text()), arguments.trials)
        page = home / "long-report.html"
        began = time.monotonic()
        write_report(page, long)
        written, size = time.monotonic() - began, page.stat().st_size
        loaded, painted = (
            statistics.median(each) for each in zip(*(_opened(page) for _ in range(_TIMES)), strict=True)
        )
    what = f"{study.summary['data']['name']}, a report of {len(long.trials)} trials"
    details = {"generations": len(long.ledger.generations), "writing_seconds": round(written, 2)}
    print_rows(
        [
            Row(
                figure=f"{what}: size",
                target=f"< {_MOST_BYTES / 1e6:.0f} MB",
                value=size,
                shown=f"{size / 1e6:.2f} MB (written in {written:.1f} s)",
                met=size < _MOST_BYTES,
                seeds="seed 0",
                details=details,
            ),
            Row(
                figure=f"{what}: opening it in a headless Chromium",
                target=f"< {_MOST_SECONDS:.0f} s",
                value=round(loaded, 3),
                shown=f"{loaded:.2f} s, first picture after {painted:.2f} s",
                met=loaded < _MOST_SECONDS,
                seeds="seed 0",
                details=details,
            ),
        ]
    )


def lengthened(view: StudyView, num_trials: int) -> StudyView:
    """The study with its generations over and over, each with trials of its own, until there are enough of these."""
    generations, trials = list(view.ledger.generations), dict(view.trials)
    while len(trials) < num_trials:
        number = len(generations) + 1
        pattern = view.ledger.generations[number % len(view.ledger.generations)]
        generation, added = _again(pattern, number, view.trials)
        generations.append(generation)
        trials |= added
    ledger = view.ledger.updated(generations=tuple(generations))
    summary = {**view.summary, "trials": {**view.summary["trials"], "count": len(trials)}}
    return view.updated(ledger=ledger, trials=trials, summary=summary)


def _again(
    pattern: GenerationRecord, number: int, trials: dict[str, TrialResult]
) -> tuple[GenerationRecord, dict[str, TrialResult]]:
    """A generation as that one was, later in the study."""
    own = {key: f"{number:08x}{key[8:]}" for row in pattern.rows for key in row.trials}
    rows = [row.updated(generation=number, trials=tuple(own[key] for key in row.trials)) for row in pattern.rows]
    later = pattern.updated(number=number, rows=tuple(rows), winner_trial=own[pattern.winner_trial])
    return later, {own[key]: trials[key].updated(key=own[key]) for key in own}


def _opened(page: Path) -> tuple[float, float]:
    """Seconds from the start of the navigation to the end of the load event, and to the first picture."""
    with Browser() as browser:
        browser.look(1200)
        browser.open(page.as_uri())
        browser.wait_for("performance.getEntriesByType('navigation')[0].loadEventEnd > 0", True)
        browser.wait_for("performance.getEntriesByName('first-contentful-paint').length", 1)
        loaded = browser.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        painted = browser.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    return loaded / 1000, painted / 1000


if __name__ == "__main__":
    main()
