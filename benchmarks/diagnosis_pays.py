"""Does proposing from the evaluation find better networks than edits at random places, within the same plan?

    python -m benchmarks.diagnosis_pays                                 # digits, two seeds: a look, some 5 minutes
    python -m benchmarks.diagnosis_pays --full fashion_mnist=DIR        # a fifth of Fashion-MNIST, ten seeds: hours

For each seed two studies with the same plan, search=edits and search=random, each in a home that was empty before: the
same images, the same baseline, as many generations, slices as long. They differ in which edits are proposed and in what
follows from that; both draw with the same luck, so that they differ no more than the odds make them. A table says how
many samples each came to train. The figures are differences, edits minus random,
paired by seed, so that negative is better; the interval is Student's, over seeds. *confirm* decides nothing here, since
there is one final training, so that the first figure is the honest one; the second, on *steer*, is of images that edits
were chosen by, but without the noise of the final training. Overrides are passed to `espalier run`, for instance
search.generations=6.
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scipy import stats

from benchmarks.commands import empty_home, run_study
from benchmarks.rows import Row, print_rows, print_table

_SEARCHES = ("edits", "random")
_FULL_SEEDS = 10
_QUICK_SEEDS = 2
_LEVEL = 0.95
# Fixed, so that no clock gives one of the two more: the same trials and the same samples for both.
_QUICK_PLAN = ("search.generations=2", "search.from_scratch=false", "search.final_samples=16000")
_FULL_PLAN = (
    "selection=random",
    "selection.fraction=0.2",
    "search.generations=5",
    "search.from_scratch=false",
    "search.final_samples=40000",
)


class Outcome(NamedTuple):
    """What a study came to: losses as mean cross-entropy."""

    confirm_loss: float
    steer_loss: float
    confirm_error: float
    params: int
    kept: int
    tried: int
    samples: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="fashion_mnist=DIR or overrides")
    parser.add_argument("--full", action="store_true", help="ten seeds of Fashion-MNIST")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the studies in")
    arguments = parser.parse_intermixed_args()
    seeds = arguments.seeds or list(range(_FULL_SEEDS if arguments.full else _QUICK_SEEDS))
    name, overrides = _wished(arguments.arguments, arguments.full)
    outcomes: dict[str, list[Outcome]] = {search: [] for search in _SEARCHES}
    with empty_home(arguments.keep) as home:
        for seed in seeds:
            for search in _SEARCHES:  # turn by turn, so that both see the same machine
                outcomes[search].append(_outcome([*overrides, f"seed={seed}"], search, home / f"{search}-{seed}"))
    _print_outcomes(name, seeds, outcomes)
    print_rows(_rows(name, seeds, outcomes))


def _wished(arguments: Sequence[str], full: bool) -> tuple[str, list[str]]:
    """The name of the data and the overrides; `fashion_mnist=DIR` says where its files are."""
    folders = [each.partition("=")[2] for each in arguments if each.startswith("fashion_mnist=")]
    others = [each for each in arguments if not each.startswith("fashion_mnist=")]
    given = {each.partition("=")[0] for each in others}
    plan = [each for each in (_FULL_PLAN if full else _QUICK_PLAN) if each.partition("=")[0] not in given]
    if not full:
        return "digits", [*plan, *others]
    if not folders:
        sys.exit("--full needs the folder with the four IDX files: fashion_mnist=DIR")
    return "fashion_mnist", ["data=fashion_mnist", f"data.root={folders[0]}", *plan, *others]


def _outcome(overrides: Sequence[str], search: str, home: Path) -> Outcome:
    finished = run_study([f"search={search}", *overrides, "orchestrator=inline", "tracking.enabled=false"], home)
    outcome = _read(finished.summary, home)
    print(f"search={search} {overrides[-1]}: {outcome}", file=sys.stderr, flush=True)
    return outcome


def _read(summary: dict[str, Any], home: Path) -> Outcome:
    ledger = json.loads((home / summary["ledger"]).read_text())
    rows = [row for generation in ledger["generations"] for row in generation["rows"] if row["edit"] != "control"]
    last = ledger["generations"][-1]["winner_trial"] if ledger["generations"] else ledger["baseline"]
    return Outcome(
        confirm_loss=_confirm_loss(home, summary["champion"]["weights_sha256"]),
        steer_loss=_trial(home, last)["steer_loss"],
        confirm_error=summary["champion"]["val_error"],
        params=summary["champion"]["params"],
        kept=sum(row["kept"] for row in rows),
        tried=len(rows),
        samples=sum(json.loads(path.read_text())["samples"] for path in home.glob("store/trials/*/*/result.json")),
    )


def _trial(home: Path, key: str) -> dict[str, Any]:
    (path,) = home.glob(f"store/trials/*/{key}/result.json")
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def _confirm_loss(home: Path, weights: str) -> float:
    """Of the winner: its one look at *confirm* that the store has."""
    results = [json.loads(path.read_text()) for path in home.glob("store/trials/*/*/result.json")]
    keys = {result["key"] for result in results if result["weights_sha256"] == weights}
    records = [json.loads(path.read_text()) for path in home.glob("store/observations/*/*/record.json")]
    contents = [record.get("record", record) for record in records]
    (loss,) = [each["loss"] for each in contents if each["part"] == "confirm" and each["trial"] in keys]
    return float(loss)


def _differences(outcomes: dict[str, list[Outcome]], field: str) -> list[float]:
    pairs = zip(outcomes["edits"], outcomes["random"], strict=True)
    return [getattr(ours, field) - getattr(theirs, field) for ours, theirs in pairs]


def _interval(differences: Sequence[float]) -> tuple[float, float, float]:
    """The mean and its two-sided interval."""
    mean, number = statistics.mean(differences), len(differences)
    if number < 2:
        return mean, -math.inf, math.inf
    reach = float(stats.t.ppf((1 + _LEVEL) / 2, number - 1)) * statistics.stdev(differences) / math.sqrt(number)
    return mean, mean - reach, mean + reach


def _rows(name: str, seeds: Sequence[int], outcomes: dict[str, list[Outcome]]) -> list[Row]:
    said = f"seeds {', '.join(map(str, seeds))}"
    return [
        _row(name, "loss on confirm of the winner", "confirm_loss", said, outcomes),
        _row(name, "loss on steer after the last generation", "steer_loss", said, outcomes),
    ]


def _row(name: str, what: str, field: str, seeds: str, outcomes: dict[str, list[Outcome]]) -> Row:
    differences = _differences(outcomes, field)
    mean, low, high = _interval(differences)
    better = sum(difference < 0 for difference in differences)
    means = {search: statistics.mean(getattr(each, field) for each in outcomes[search]) for search in _SEARCHES}
    return Row(
        figure=f"{name}: {what}, search=edits minus search=random, paired by seed",
        target="interval below 0",
        value=mean,
        shown=(
            f"{mean:+.4f} ({low:+.4f} to {high:+.4f}); {means['edits']:.4f} and {means['random']:.4f}; "
            f"lower with {better} of {len(differences)} seeds"
        ),
        met=high < 0,
        seeds=seeds,
        details={"differences": differences, **{each: list(map(Outcome._asdict, outcomes[each])) for each in outcomes}},
    )


def _print_outcomes(name: str, seeds: Sequence[int], outcomes: dict[str, list[Outcome]]) -> None:
    columns = ("search", "seed", "loss on confirm", "loss on steer", "error on confirm", "params", "kept", "samples")
    lines = [
        (
            search,
            str(seed),
            f"{each.confirm_loss:.4f}",
            f"{each.steer_loss:.4f}",
            f"{each.confirm_error:.2%}",
            f"{each.params:,}",
            f"{each.kept} of {each.tried}",
            f"{each.samples:,}",
        )
        for search in _SEARCHES
        for seed, each in zip(seeds, outcomes[search], strict=True)
    ]
    print_table(f"Proposing from the evaluation against proposing at random: {name}", columns, lines)


if __name__ == "__main__":
    main()
