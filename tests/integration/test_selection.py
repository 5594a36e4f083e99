"""A study that finds wrong labels, the file in which a person corrects them, and the study on what was corrected."""

import csv
import gzip
import hashlib
import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from modules.data.arrays import open_arrays
from modules.data.parts import content_hashes
from modules.records import DataRecord
from tests.integration.conftest import INLINE, Runner, kill
from tests.integration.test_bad_input import IMAGES, LABELS, assert_refused, labelled, write_idx

NUM_IMAGES = 600
WRONG = tuple(range(5, NUM_IMAGES, 12))
SHORT = ("search=none", "training.max_epochs=1", "trainer.threads=1", "training.find_rate=false", "augmentation=none")
CLEAN = (
    "selection=clean",
    "selection.suspects=relabelled",
    "selection.folds=2",
    "selection.epochs=6",
    "selection.confidence=0.4",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits, every twelfth with the label of the next class."""
    folder = tmp_path_factory.mktemp("noisy")
    for name, split in (("train", slice(0, NUM_IMAGES)), ("t10k", slice(1000, 1040))):
        images, labels = labelled(split)
        if name == "train":
            labels[list(WRONG)] = (labels[list(WRONG)] + 1) % 10
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels)
    return folder


def command(folder: Path, *overrides: str) -> tuple[str, ...]:
    return ("run", *INLINE, *SHORT, "data=mnist", f"data.root={folder}", *overrides)


def digests(folder: Path) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Runner:
    runner = Runner(tmp_path_factory.mktemp("cleaned") / "home")
    before = digests(folder)
    done = runner.run(*command(folder, *CLEAN, "study=clean"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "trained on under another label:" in done.stdout
    assert "suspected labels:" in done.stdout
    assert digests(folder) == before
    return runner


def suspects_file(runner: Runner, study: str) -> Path:
    (path,) = (runner.home / "studies" / study).glob("suspects-*.csv")
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def truth() -> dict[str, str]:
    images, labels = labelled(slice(0, NUM_IMAGES))
    return {
        f"{int(identity):016x}": str(label)
        for identity, label in zip(content_hashes(images[..., None]), labels, strict=True)
    }


def test_most_suspects_are_wrong_and_relabelled(cleaned: Runner) -> None:
    right = truth()
    rows = rows_of(suspects_file(cleaned, "clean"))
    wrong = [row for row in rows if right[row["identity"]] != row["given"]]
    assert len(wrong) > 0.6 * len(rows)
    assert len(wrong) > 0.5 * len(WRONG)
    assert {row["part"] for row in rows} <= {"train", "steer", "confirm"}
    assert {row["corrected"] for row in rows} == {""}
    summary = cleaned.summary("clean")
    recipe = json.loads((cleaned.home / "studies/clean/champion/recipe.json").read_text())
    found = json.loads((cleaned.home / "studies/clean/selection.json").read_text())
    assert recipe["selection"] == found["selection"]
    assert found["num_kept"] == found["num_images"]
    assert found["num_suspects"]["train"] == sum(row["part"] == "train" for row in rows)
    assert summary["trials"] == {"count": 3, "reused": 0, "failed": 0}
    plan = json.loads((cleaned.home / "studies/clean/plan.json").read_text())
    assert plan["baseline_samples"] == found["num_kept"]  # an epoch


def test_the_report_shows_them_and_the_figures_for_both(cleaned: Runner) -> None:
    page = (cleaned.home / "studies/clean/report.html").read_text()
    assert "Selection of training images" in page
    assert page.count('<img src="data:image/png;base64,') >= 5
    assert "without suspected labels" in page
    assert re.search(r"selection=kept selection\.digest=[0-9a-f]{32}", page)
    (sheet,) = (cleaned.home / "studies/clean").glob("suspects-*.html")
    rows = rows_of(suspects_file(cleaned, "clean"))
    text = sheet.read_text()
    assert all(row["identity"] in text for row in rows)
    assert cleaned.run("report", "clean").returncode == 0
    assert (cleaned.home / "studies/clean/report.html").read_text() == page


def test_the_same_command_again_trains_nothing_and_leaves_what_a_person_wrote(cleaned: Runner, folder: Path) -> None:
    path = suspects_file(cleaned, "clean")
    before = path.read_text()
    path.write_text(before.replace(",\n", ",3\n", 2))
    filled = path.read_text()
    done = cleaned.run(*command(folder, *CLEAN, "study=clean"))
    assert done.returncode == 0, done.stderr
    assert cleaned.summary("clean")["trials"] == {"count": 3, "reused": 3, "failed": 0}
    assert path.read_text() == filled
    path.write_text(before)


def test_corrected_labels_are_trained_on(cleaned: Runner, folder: Path, tmp_path: Path) -> None:
    right = truth()
    source = suspects_file(cleaned, "clean")
    rows = rows_of(source)
    for row in rows:
        row["corrected"] = right[row["identity"]]
    file = tmp_path / "corrected labels.csv"
    with file.open("w", newline="") as text:
        writer = csv.DictWriter(text, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    before = digests(folder)
    done = cleaned.run(*command(folder, "study=corrected", f"data.corrections={file}"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Labels corrected by data.corrections: " in done.stdout.replace("\n", " ")
    assert digests(folder) == before
    data = next(
        DataRecord.model_validate(json.loads(path.read_text())["record"])
        for path in (cleaned.home / "store/data").glob("??/*/record.json")
        if json.loads(path.read_text())["record"]["digest"] == cleaned.summary("corrected")["data"]["digest"]
    )
    arrays = open_arrays(cleaned.home, data)
    labels = {
        f"{int(identity):016x}": str(label) for identity, label in zip(arrays.identities, arrays.labels, strict=True)
    }
    assert all(labels[row["identity"]] == row["corrected"] for row in rows)


@pytest.mark.faults
def test_a_killed_search_ends_with_the_same_bits(cleaned: Runner, folder: Path, runner: Runner) -> None:
    process = runner.start_and_wait_for_trials(2, *command(folder, *CLEAN, "study=clean"))
    kill(process, signal.SIGKILL)
    assert runner.trials() <= 2
    done = runner.run(*command(folder, *CLEAN, "study=clean"))
    assert done.returncode == 0, done.stderr
    assert runner.summary("clean")["trials"]["reused"] >= 1
    for key in ("recipe", "weights_sha256"):
        assert runner.summary("clean")["champion"][key] == cleaned.summary("clean")["champion"][key]


def test_the_winner_is_rebuilt_from_its_ledger(cleaned: Runner) -> None:
    done = cleaned.run("replay", "clean")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.full
def test_what_was_found_can_be_trained_on_again(cleaned: Runner, folder: Path) -> None:
    found = json.loads((cleaned.home / "studies/clean/selection.json").read_text())
    digest = found["selection"]["arguments"]["digest"]
    done = cleaned.run(*command(folder, "study=again", "selection=kept", f"selection.digest={digest}"))
    assert done.returncode == 0, done.stderr
    assert cleaned.summary("again")["champion"] | {"latency_ms": 0} == cleaned.summary("clean")["champion"] | {
        "latency_ms": 0
    }


@pytest.mark.full
def test_auto_says_what_it_compared(runner: Runner, folder: Path) -> None:
    auto = ("selection=auto", "selection.folds=2", "selection.epochs=1", "selection.judged_epochs=1")
    done = runner.run(*command(folder, *auto, "study=auto"))
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((runner.home / "studies/auto/selection.json").read_text())
    names = [row["name"] for row in found["compared"]]
    assert names[0] == "all"
    assert [name for name in names if name.startswith("random instead of")]
    page = (runner.home / "studies/auto/report.html").read_text()
    assert all(name in page for name in names)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("data.corrections=nowhere.csv",), ("data.corrections=", "nowhere.csv cannot be read", "No such file")),
        (("selection=kept",), ("selection.digest=nothing names no selection", "allowed is the digest")),
        ((*CLEAN, "budget.trials=4"), ("budget.trials=4", "selection=clean", "trains 2", "allowed is 5 or more")),
        pytest.param(
            (*CLEAN, "budget.samples=50"),
            ("selection=clean trains", "a quarter of the budget", "allowed are"),
            marks=pytest.mark.full,
        ),
        (("selection=clean", "selection.folds=1"), ("selection.folds", "from 2 to 20", "got 1")),
    ],
)
def test_what_is_refused(runner: Runner, folder: Path, overrides: tuple[str, ...], words: tuple[str, ...]) -> None:
    assert_refused(runner.run(*command(folder, *overrides)), *words)


def test_a_class_with_too_few_images_for_folds(runner: Runner, folder: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    images, labels = labelled(slice(0, 200))
    kept = (labels != 7) | (np.cumsum(labels == 7) <= 2)
    for path in folder.iterdir():
        (few / path.name).write_bytes(path.read_bytes())
    twins = np.flatnonzero(labels == 7)[:2]
    images[twins[1]] = images[twins[0]]  # one group, so that both are in one fold
    write_idx(few / IMAGES, images[kept])
    write_idx(few / LABELS, labels[kept])
    for seed in range(20):  # a split that leaves both for training
        done = runner.run(*command(few, "selection=clean", f"data.split_seed={seed}"))
        if "no image in the training part" not in done.stderr:
            break
    assert_refused(done, "class '7' has too few training images for 4 folds", "allowed are more images")
    assert gzip.decompress((few / LABELS).read_bytes())
