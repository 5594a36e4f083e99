"""The scripts in examples/, each as a person starts it, with budgets that take seconds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modules.parts import CONF
from tests.integration.conftest import PATIENCE

EXAMPLES = CONF.parent / "examples"
QUICK = (
    "orchestrator=inline",
    "tracking.enabled=false",
    "trainer.threads=1",
    "explanation=none",
    "training.find_rate=false",
    "deployment.int8=false",
)
FINAL = ("search.baseline_samples=6400", "search.final_samples=3200", "search.from_scratch=false")
SHORT: dict[str, tuple[str, ...]] = {
    "digits_in_a_minute": (*FINAL, "search.generations=1", "search.edits_per_generation=1", "search.slice_samples=960"),
    "folder_of_images": FINAL,
    "noisy_labels": ("training.max_epochs=4",),
}
SAID = {
    "digits_in_a_minute": ("of the test images wrong", "upright: 0 (", "true: 0, 1, 2, 3, 4"),
    "folder_of_images": ("of the test images wrong", "drawn: circle, square, triangle; the model says: "),
    "noisy_labels": ("labels are suspected, of which ", "with their labels corrected: ", "compare noisy corrected"),
}


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(path.stem, marks=() if path.stem == "digits_in_a_minute" else pytest.mark.full)
        for path in sorted(EXAMPLES.glob("*.py"))
    ],
)
def test_an_example_runs_as_it_is(example: str, tmp_path: Path) -> None:
    """Warnings are errors in it; what it makes beside its home goes to a temporary folder of ours."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{example}.py"), *QUICK, *SHORT[example]],
        env={**os.environ, "ESPALIER_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    for words in SAID[example]:
        assert words in done.stdout
    assert len((EXAMPLES / f"{example}.py").read_text().splitlines()) < 60
