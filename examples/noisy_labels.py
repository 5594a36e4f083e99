"""Digits of which some have a wrong label: which are found, and a study on the labels as a person corrects them.

    python examples/noisy_labels.py [KEY=VALUE …]

What it writes lies under ESPALIER_HOME, or in a temporary folder where that is not set.
"""

import csv
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from flows.experiment import experiment
from modules.data.corrections import identity_text
from modules.data.parts import content_hashes


def main(overrides: list[str]) -> None:
    """Spoil labels, find them, correct them."""
    home = Path(os.environ.setdefault("ESPALIER_HOME", tempfile.mkdtemp(prefix="espalier-")))
    digits = load_digits()
    images = (digits.images * 255 / 16).round().astype(np.uint8)[..., None]
    true, given = digits.target, digits.target.copy()
    spoilt = np.random.default_rng(0).choice(1400, 84, replace=False)  # 6 %; the rest is the test set, as it is
    given[spoilt] = (given[spoilt] + 3) % 10
    folder = Path(tempfile.mkdtemp(prefix="noisy-"))
    parts = {"x_train": images[:1400], "y_train": given[:1400], "x_test": images[1400:], "y_test": true[1400:]}
    np.savez(folder / "digits.npz", **parts)
    data = ["data=arrays", f"data.root={folder / 'digits.npz'}", "search=none", "fresh=true"]
    first = experiment([*data, "selection=clean", "study=noisy", *overrides])

    names = dict(zip(map(identity_text, content_hashes(images)), true, strict=True))  # the true label of each image
    (found,) = first.parent.glob("suspects-*.csv")
    rows = list(csv.DictReader(found.read_text().splitlines()))
    really = sum(int(row["given"]) != names[row["identity"]] for row in rows)
    print(f"{len(rows)} labels are suspected, of which {really} are wrong; {len(spoilt)} were spoilt: see {found}")

    for row in rows:  # what a person does who looks at the pictures: write the right class into the last column
        row["corrected"] = str(names[row["identity"]])
    with (folder / "corrected.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    second = experiment([*data, f"data.corrections={folder / 'corrected.csv'}", "study=corrected", *overrides])
    for name, path in (("without the suspects", first), ("with their labels corrected", second)):
        print(f"{name}: {json.loads(path.read_text())['champion']['test_error']:.2%} of the test images wrong")
    print(f"side by side: ESPALIER_HOME={home} espalier compare noisy corrected")


if __name__ == "__main__":
    main(sys.argv[1:])
