"""Does what one study learnt pay in the next? Fashion-MNIST with and without the prior of an MNIST study.

    python -m benchmarks.prior_pays mnist=DIR fashion=DIR                     # seed 0, a tenth of the images
    python -m benchmarks.prior_pays --full mnist=DIR fashion=DIR              # three seeds, all images: hours

For each seed an MNIST study, and then Fashion-MNIST twice with the same plan: with its prior, and with prior=none in a
home of its own. Compute is samples trained times the network's operations, in the order in which trials were done,
range tests apart; what is read off is the compute at which the line of the winner first has the error on *steer* that
the study without a prior ended its search with. Overrides are passed to all studies.
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.commands import empty_home, run_study
from benchmarks.rows import Row, print_rows

_DATA = {"mnist": "mnist", "fashion": "fashion_mnist"}
_SHARE = 0.6
_PLAN = ("search.space=recipe", "search.from_scratch=false", "orchestrator=inline", "tracking.enabled=false")
_QUICK = ("selection=random", "selection.fraction=0.1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arguments", nargs="+", metavar="ARGUMENT", help="mnist=DIR fashion=DIR, overrides")
    parser.add_argument("--full", action="store_true", help="three seeds and all images")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the studies in")
    arguments = parser.parse_intermixed_args()
    pairs = [each.partition("=") for each in arguments.arguments]
    folders = {name: folder for name, _, folder in pairs if name in _DATA}
    if set(folders) != set(_DATA):
        sys.exit("both data sets are needed: mnist=DIR fashion=DIR")
    overrides = [*_PLAN, *(() if arguments.full else _QUICK), *("".join(p) for p in pairs if p[0] not in _DATA)]
    seeds = arguments.seeds or list(range(3 if arguments.full else 1))
    with empty_home(arguments.keep) as home:
        shares = [_share(home / str(seed), folders, overrides, seed) for seed in seeds]
    print_rows([_row(seeds, shares)])


def _share(home: Path, folders: dict[str, str], overrides: Sequence[str], seed: int) -> float:
    """The compute with a prior over that without, to the error that the search without ended with."""

    def study(where: str, data: str, name: str, *more: str) -> list[tuple[float, float]]:
        wished = [f"data={_DATA[data]}", f"data.root={folders[data]}", *overrides, f"seed={seed}", f"study={name}"]
        return _trunk(home / where, run_study([*wished, *more], home / where).summary)

    study("with", "mnist", "first")
    prior, without = study("with", "fashion", "second"), study("without", "fashion", "second", "prior=none")
    goal = min(error for _, error in without)
    reached = [next((spent for spent, error in line if error <= goal), math.inf) for line in (prior, without)]
    share = reached[0] / reached[1]
    print(f"seed {seed}: {goal:.2%} error on steer, with the prior at {share:.0%} of the compute", file=sys.stderr)
    return share


def _trunk(home: Path, summary: dict[str, Any]) -> list[tuple[float, float]]:
    """Compute spent by the whole study at the end of each generation, and the control's or winner's error there.

    All that was trained counts, also tries that were stopped, which the ledger has no rows for.
    """
    ledger = home / summary["ledger"]
    notes = [json.loads(line) for line in (ledger.parent / "trials.jsonl").read_text().splitlines()]
    places = {
        note["key"]: note["generation"] or 0 for note in notes if note["generation"] or note["role"] == "baseline"
    }
    spent = {key: _flops(_result(home, key)) for key in places}
    return [
        (
            sum(flops for key, flops in spent.items() if places[key] <= generation["number"]),
            _result(home, generation["winner_trial"])["steer_error"],
        )
        for generation in json.loads(ledger.read_text())["generations"]
    ]


def _flops(result: dict[str, Any]) -> float:
    return float(result["samples"] * result["flops"])


def _result(home: Path, key: str) -> dict[str, Any]:
    (path,) = home.glob(f"store/trials/*/{key}/result.json")
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def _row(seeds: Sequence[int], shares: Sequence[float]) -> Row:
    share = statistics.median(shares)
    return Row(
        figure="Fashion-MNIST after an MNIST study: compute to the validation error of a study without its prior",
        target="≤ 60 %",
        value=share if math.isfinite(share) else -1.0,
        shown=", ".join(f"{each:.0%}" if math.isfinite(each) else "not reached" for each in shares),
        met=share <= _SHARE,
        seeds=f"seeds {', '.join(map(str, seeds))}",
    )


if __name__ == "__main__":
    main()
