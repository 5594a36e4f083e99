"""How often are edits that do nothing kept, or called better? The A/A test of the judging, on digits.

    python -m benchmarks.placebos                 # 20 generations: some 3 minutes
    python -m benchmarks.placebos --full          # 200 generations

Each study has generations of three placebos: a permutation of a layer's channels, and a branch that outputs zero for
good. They are trained with seeds of their own like any edit, so that all they differ by is the noise of training. A
generation counts where one of them was kept, or passed for better than the control. Further arguments are overrides.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.commands import empty_home, run_study
from benchmarks.rows import Row, print_rows
from modules.records import Ledger

_MOST = 0.05
_GENERATIONS_A_STUDY = 20
_PLACEBOS = ("placebo_permute", "placebo_branch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="for `espalier run`")
    parser.add_argument("--full", action="store_true", help="ten seeds: 200 generations")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the studies in")
    arguments = parser.parse_intermixed_args()
    seeds = arguments.seeds or list(range(10 if arguments.full else 1))
    with empty_home(arguments.keep) as home:
        ledgers = [_ledger(seed, home / f"seed-{seed}", arguments.overrides) for seed in seeds]
    print_rows([_row(seeds, ledgers)])


def _ledger(seed: int, home: Path, overrides: list[str]) -> Ledger:
    wished = [
        f"search.edits=[{','.join(_PLACEBOS)}]",
        f"search.generations={_GENERATIONS_A_STUDY}",
        "search.patience=null",
        "search.from_scratch=false",
        "orchestrator=inline",
        "tracking.enabled=false",
        f"seed={seed}",
    ]
    finished = run_study([*wished, *overrides], home)
    return Ledger.model_validate(json.loads((home / finished.summary["ledger"]).read_text()))


def _row(seeds: Sequence[int], ledgers: list[Ledger]) -> Row:
    generations = [generation for ledger in ledgers for generation in ledger.generations]
    fooled = sum(any(row.kept or _called_better(row.verdict) for row in record.rows) for record in generations)
    confirmed = sum(any(row.confirmed for row in record.rows) for record in generations)
    share = fooled / len(generations)
    return Row(
        figure="placebos on digits: generations that kept one or called one better",
        target=f"≤ {_MOST:.0%}",
        value=round(share, 4),
        shown=f"{share:.1%} ({fooled} of {len(generations)}; confirmed {confirmed})",
        met=share <= _MOST,
        seeds=f"seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}",
    )


def _called_better(verdict: str) -> bool:
    return "better at p" in verdict


if __name__ == "__main__":
    main()
