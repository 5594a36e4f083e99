"""How long does it take to explain a winner and to write the report? Targets: 45 s and 10 s.

    python -m benchmarks.explanation                              # digits, a minute on 2 cores
    python -m benchmarks.explanation --full data=mnist data.root=DIR
    python -m benchmarks.explanation --full data=fashion_mnist data.root=DIR

A single training without a search, in an ESPALIER_HOME of its own; then the seconds that its explanation took, which
are stored with it, and those of the command `espalier report`, which writes the report with all figures again. Without
`--full`, it trains briefly: what is explained is then worse, but takes as long. Overrides go to `espalier run`.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

from benchmarks.commands import empty_home, espalier, run_study
from benchmarks.rows import Row, print_rows

_MOST_SECONDS, _MOST_REPORT_SECONDS, _MOST_BYTES = 45.0, 10.0, 5_000_000
_BRIEF = ("training.max_epochs=1", "training.find_rate=false")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="for `espalier run`")
    parser.add_argument("--full", action="store_true", help="the training as it comes")
    parser.add_argument("--keep", type=Path, help="an empty folder to keep the study in")
    arguments = parser.parse_intermixed_args()
    overrides = [*(() if arguments.full else _BRIEF), *arguments.overrides]
    with empty_home(arguments.keep) as home:
        study = run_study(["search=none", "orchestrator=inline", "tracking.enabled=false", *overrides], home)
        folder = home / "studies" / study.summary["study"]
        explanation = json.loads((folder / "view.json").read_text())["explanation"]
        began = time.monotonic()
        environment = {**os.environ, "ESPALIER_HOME": str(home)}
        subprocess.run([espalier(), "report", folder.name], env=environment, check=True, capture_output=True)
        seconds, size = time.monotonic() - began, (folder / "report.html").stat().st_size
    name = study.summary["data"]["name"]
    passed = [method["name"] for method in explanation["methods"] if method["shown"]]
    details = f"{len(explanation['examples'])} images, shown: {', '.join(passed) or 'none'}"
    print_rows(
        [
            _row(f"{name}: explanation of a winner", explanation["seconds"], _MOST_SECONDS, f" ({details})"),
            _row(f"{name}: `espalier report`, the whole command", seconds, _MOST_REPORT_SECONDS, ""),
            Row(
                figure=f"{name}: size of the report",
                target=f"< {_MOST_BYTES / 1e6:.0f} MB",
                value=size,
                shown=f"{size / 1e6:.2f} MB",
                met=size < _MOST_BYTES,
                seeds="seed 0",
            ),
        ]
    )


def _row(figure: str, seconds: float, most: float, remark: str) -> Row:
    return Row(
        figure=figure,
        target=f"≤ {most:.0f} s",
        value=round(seconds, 2),
        shown=f"{seconds:.1f} s{remark}",
        met=seconds <= most,
        seeds="seed 0",
        details={"methods": remark},
    )


if __name__ == "__main__":
    main()
