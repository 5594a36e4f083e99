"""A study on scikit-learn's digits, and its bundle asked about images that it never saw.

    python examples/digits_in_a_minute.py [KEY=VALUE …]

What it writes lies under ESPALIER_HOME, or in a temporary folder where that is not set. Takes about half a minute.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from flows.experiment import experiment
from modules.deployment.bundles import load


def main(overrides: list[str]) -> None:
    """Run, read the summary, predict."""
    home = Path(os.environ.setdefault("ESPALIER_HOME", tempfile.mkdtemp(prefix="espalier-")))
    path = experiment(["data=digits", "budget.trials=12", "study=digits-in-a-minute", *overrides])
    summary = json.loads(path.read_text())
    winner = summary["champion"]
    print(f"{winner['params']:,} parameters, {winner['test_error']:.2%} of the test images wrong")

    digits = load_digits()
    images = (digits.images * 255 / 16).round().astype(np.uint8)  # 8 x 8 grey pixels, as the model was shown them
    turned = np.rot90(images[:5], axes=(1, 2))  # lying on their side: nobody taught it those
    bundle = load(home / summary["bundle"])
    for name, asked in (("upright", images[:5]), ("lying", turned)):
        said = bundle.predict(np.ascontiguousarray(asked))
        sure = said.probabilities.max(axis=1)
        print(f"{name}: {', '.join(f'{one} ({p:.0%})' for one, p in zip(said.classes, sure, strict=True))}")
    print(f"true: {', '.join(map(str, digits.target[:5]))}; the report is {home / summary['report']}")


if __name__ == "__main__":
    main(sys.argv[1:])
