"""What does `make run` give? The default study on digits: seconds of the command, test accuracy over data splits.

    python -m benchmarks.digits             # data.split_seed=0 alone, 2 minutes on 2 cores
    python -m benchmarks.digits --full      # 0 to 4, 10 minutes

Each study has an ESPALIER_HOME of its own that was empty before, so each trains everything. The seconds are those of
the whole command with the first split. Overrides are passed to `espalier run`.
"""

import argparse
import statistics
from pathlib import Path

from benchmarks.commands import Finished, empty_home, run_study
from benchmarks.rows import Row, print_rows

_LEAST_ACCURACY = 0.98
_MOST_SECONDS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="for `espalier run`")
    parser.add_argument("--full", action="store_true", help="five splits instead of one")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the studies in")
    arguments = parser.parse_intermixed_args()
    splits = range(5) if arguments.full else range(1)
    with empty_home(arguments.keep) as home:
        studies = [
            run_study([*arguments.overrides, f"data.split_seed={split}"], home / f"split-{split}") for split in splits
        ]
    print_rows([_accuracy(studies), _seconds(studies)])


def _accuracy(studies: list[Finished]) -> Row:
    accuracies = [1 - study.summary["champion"]["test_error"] for study in studies]
    mean = statistics.mean(accuracies)
    each = ", ".join(f"{accuracy:.2%}" for accuracy in accuracies)
    return Row(
        figure="digits, default study: mean test accuracy",
        target=f"≥ {_LEAST_ACCURACY:.1%}",
        value=round(mean, 5),
        shown=f"{mean:.2%} ({each})",
        met=mean >= _LEAST_ACCURACY,
        seeds=_seeds(studies),
        details={"accuracies": accuracies, "champions": [study.summary["champion"] for study in studies]},
    )


def _seconds(studies: list[Finished]) -> Row:
    seconds = [study.seconds for study in studies]
    others = f" (the others {min(seconds[1:]):.0f} to {max(seconds[1:]):.0f} s)" if len(seconds) > 1 else ""
    return Row(
        figure="digits, default study: the whole command",
        target=f"< {_MOST_SECONDS} s",
        value=round(seconds[0], 1),
        shown=f"{seconds[0]:.0f} s{others}",
        met=seconds[0] < _MOST_SECONDS,
        seeds=_seeds(studies[:1]),
        details={"seconds": [round(each, 1) for each in seconds]},
    )


def _seeds(studies: list[Finished]) -> str:
    return f"seed {studies[0].summary['seed']}, data.split_seed {', '.join(map(str, range(len(studies))))}"


if __name__ == "__main__":
    main()
