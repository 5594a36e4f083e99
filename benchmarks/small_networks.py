"""How accurate is a network of so many parameters? A study of MNIST for each limit, and all of them in one picture.

    python -m benchmarks.small_networks mnist=DIR                                    # 6,174 parameters, 15 minutes
    python -m benchmarks.small_networks --full mnist=DIR                             # 2k to 400k, an hour each
    python -m benchmarks.small_networks --limits 6174 --minutes 60 mnist=DIR model=separable optimizer=muon search=none

Each is a whole command with objective.max_params and its minutes, in an ESPALIER_HOME that was empty before; the test
set is opened once, at its end. The picture has the published small networks beside them, of which several chose their
epoch on test images. Further arguments are overrides for `espalier run`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.commands import empty_home, run_study
from benchmarks.rows import Row, print_rows
from benchmarks.trainings import split_arguments

_GOALS = {6174: 0.0060}  # the test error that a published network of as many parameters has
_LIMITS = (2_000, 6_174, 20_000, 60_000, 400_000)
_PUBLISHED = {"697 parameters": (697, 0.01), "6,174 parameters": (6174, 0.006), "SimpleNet": (310_000, 0.0028)}


class Reached(NamedTuple):
    """What a study with a limit came to."""

    limit: int
    params: int
    val_error: float
    test_error: float
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arguments", nargs="+", metavar="ARGUMENT", help="mnist=DIR, overrides")
    parser.add_argument("--full", action="store_true", help=f"limits of {_LIMITS}, an hour each")
    parser.add_argument("--limits", type=int, nargs="+")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the studies in")
    parser.add_argument("--picture", type=Path, default=Path("small_networks.svg"))
    arguments = parser.parse_intermixed_args()
    folders, overrides = split_arguments(arguments.arguments)
    limits = arguments.limits or (_LIMITS if arguments.full else (6_174,))
    minutes = arguments.minutes or (60 if arguments.full else 15)
    fixed = ["data=mnist", f"data.root={folders['mnist']}", f"budget.minutes={minutes:g}", f"seed={arguments.seed}"]
    with empty_home(arguments.keep) as home:
        reached = [_reached([*fixed, *overrides], limit, home / f"up-to-{limit}") for limit in limits]
    _plot(reached, arguments.picture)
    print_rows([_row(each, minutes, overrides, arguments.seed) for each in reached])


def _reached(overrides: Sequence[str], limit: int, home: Path) -> Reached:
    finished = run_study([*overrides, f"objective.max_params={limit}"], home)
    champion = finished.summary["champion"]
    reached = Reached(limit, champion["params"], champion["val_error"], champion["test_error"], finished.seconds)
    print(reached, file=sys.stderr, flush=True)
    return reached


def _row(reached: Reached, minutes: float, overrides: Sequence[str], seed: int) -> Row:
    goal = _GOALS.get(reached.limit)
    said = "".join(f", {override}" for override in overrides)
    return Row(
        figure=f"mnist, objective.max_params={reached.limit}, {minutes:g} minutes{said}: test error",
        target="–" if goal is None else f"≤ {goal:.2%} in 60 minutes",
        value=reached.test_error,
        shown=f"{reached.test_error:.2%} with {reached.params:,} parameters ({reached.seconds:.0f} s)",
        met=goal is None or reached.test_error <= goal,
        seeds=f"seed {seed}",
        details=reached._asdict(),
    )


def _plot(reached: Sequence[Reached], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    ordered = sorted(reached, key=lambda each: each.params)
    axis.plot([each.params for each in ordered], [100 * each.test_error for each in ordered], "o-", label="Espalier")
    for name, (params, error) in _PUBLISHED.items():
        axis.plot(params, 100 * error, "x", color="grey")
        axis.annotate(name, (params, 100 * error), textcoords="offset points", xytext=(6, 4), fontsize=8, color="grey")
    axis.set(xscale="log", yscale="log", xlabel="parameters", ylabel="test error on MNIST (%)")
    axis.grid(alpha=0.3, which="both")
    axis.legend()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
