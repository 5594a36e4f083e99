"""What a person gets for a bad input: exit code 2, one sentence, and nothing that spoils the run that follows.

Of each kind one or a few go through a process of their own, as a person starts it; the others through the same command
line in this process, where nothing has to be imported again.
"""

import contextlib
import gzip
import json
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from flows.cli import main
from tests.integration.conftest import INLINE, TINY, Runner, kill

SHORT = ("search=none", "training.max_epochs=1", "trainer.threads=1")
IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def labelled(split: slice) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Digits of scikit-learn, drawn as large as MNIST's."""
    bunch = load_digits()
    pixels = np.rint(bunch.images[split] * (255 / 16)).astype(np.uint8)
    large = np.pad(pixels.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    return large, bunch.target[split].astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four IDX files of 200 digits to train on and 40 to test."""
    folder = tmp_path_factory.mktemp("idx")
    for name, split in (("train", slice(0, 200)), ("t10k", slice(1000, 1040))):
        images, labels = labelled(split)
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels)
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """One home in which everything is refused, and in which a good run then has to work."""
    return Runner(tmp_path_factory.mktemp("shared") / "home")


@pytest.fixture(scope="module")
def finished(shared: Runner, folder: Path) -> Runner:
    """The home after a good run of the study that was refused before."""
    done = shared.run("run", *INLINE, *SHORT, "study=spoiled", "data=mnist", f"data.root={folder}")
    assert (done.returncode, done.stderr) == (0, "")
    return shared


@dataclass
class CommandLine:
    """The program in this process, and without a worker: what is asked for has to be refused before one is needed."""

    home: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        code = main(arguments)
        output, errors = self.capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, output, errors)


InProcess = Callable[[Runner], CommandLine]


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> InProcess:
    """Turns a runner into the command line of this process with the same home."""

    def turned(runner: Runner) -> CommandLine:
        monkeypatch.setenv("ESPALIER_HOME", str(runner.home))
        monkeypatch.setattr("flows.opening.open_workers", lambda settings, home: contextlib.nullcontext())
        return CommandLine(runner.home, capsys)

    return turned


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2 and one sentence with these words in this order: what was wrong, what came, what is allowed."""
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("espalier: ")
    place = 0
    for word in words:
        assert word in line[place:], (word, line)
        place = line.index(word, place) + len(word)


def assert_nothing_half_written(home: Path) -> None:
    assert list(home.rglob("*.npy")) == []
    assert list(home.rglob(".writing-*")) == []
    assert list(home.rglob("plan.json")) == []
    assert list(home.rglob("summary.json")) == []


def cut_off(folder: Path) -> None:
    content = (folder / IMAGES).read_bytes()
    (folder / IMAGES).write_bytes(content[: len(content) // 2])


def damage(folder: Path) -> None:
    content = bytearray((folder / IMAGES).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / IMAGES).write_bytes(content)


def save_a_page_instead(folder: Path) -> None:
    (folder / IMAGES).write_bytes(gzip.compress(b"<html>not found</html>"))


def lose_labels(folder: Path) -> None:
    write_idx(folder / LABELS, labelled(slice(0, 197))[1])


def leave_a_single_seven(folder: Path) -> None:
    images, labels = labelled(slice(0, 200))
    kept = (labels != 7) | (np.cumsum(labels == 7) == 1)
    write_idx(folder / IMAGES, images[kept])
    write_idx(folder / LABELS, labels[kept])


def leave_none(folder: Path) -> None:
    write_idx(folder / IMAGES, labelled(slice(0, 0))[0])
    write_idx(folder / LABELS, labelled(slice(0, 0))[1])


def test_data_that_cannot_be_used(shared: Runner, folder: Path, tmp_path: Path) -> None:
    root = shutil.copytree(folder, tmp_path / "idx")
    cut_off(root)
    done = shared.run("run", *INLINE, *SHORT, "study=spoiled", "data=mnist", f"data.root={root}")
    assert_refused(done, IMAGES, "cut off", "ends too early", "again")
    assert_nothing_half_written(shared.home)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (damage, (IMAGES, "not a sound gzip file", "again")),
        (save_a_page_instead, (IMAGES, "begins with 3c68746d", "00000803")),
        (lose_labels, (IMAGES, "200 images", LABELS, "197 labels", "each image needs one")),
        (leave_a_single_seven, ("class '7'", "a single image", "at least two")),
        (leave_none, ("training set is empty", "at least two images of each class")),
        (shutil.rmtree, ("data.root=", "does not exist", "the folder with the four IDX files")),
    ],
)
def test_other_data_that_cannot_be_used(
    shared: Runner,
    in_process: InProcess,
    folder: Path,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    words: tuple[str, ...],
) -> None:
    root = shutil.copytree(folder, tmp_path / "idx")
    spoil(root)
    done = in_process(shared).run("run", *INLINE, *SHORT, "study=spoiled", "data=mnist", f"data.root={root}")
    assert_refused(done, *words)
    assert_nothing_half_written(shared.home)


def test_data_without_its_folder(shared: Runner, in_process: InProcess) -> None:
    done = in_process(shared).run("run", *INLINE, *SHORT, "study=spoiled", "data=mnist")
    assert_refused(done, "data=mnist needs the folder", "data.root=DIR")
    assert_nothing_half_written(shared.home)


def test_a_download_where_there_is_no_network(
    shared: Runner, in_process: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody answers
    download = ("data=mnist", "data.download=true")
    done = in_process(shared).run("run", *INLINE, *SHORT, "study=spoiled", *download)
    assert_refused(done, "cannot download", IMAGES, "no connection", "data.root=DIR")
    assert_nothing_half_written(shared.home)


def test_an_override_that_is_not_allowed(runner: Runner) -> None:
    assert_refused(runner.run("run", *INLINE, "data=cats"), "data", "cats", "digits, fashion_mnist, folder")
    assert not runner.home.exists()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("trainig.batch_size=8", ("unknown key", "trainig", "training")),
        ("training.learning_rate=-0.1", ("training.learning_rate", "above 0", "-0.1")),
        ("training.batch_size=many", ("training.batch_size", "a whole number", "many")),
        ("study=../up", ("study", "letters, digits", "../up")),
        ("budget.minutes=0", ("budget.minutes", "above 0", "0")),
    ],
)
def test_other_overrides_that_are_not_allowed(
    runner: Runner, in_process: InProcess, override: str, words: tuple[str, ...]
) -> None:
    assert_refused(in_process(runner).run("run", *INLINE, override), *words)
    assert not runner.home.exists()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        pytest.param("budget.minutes=0.001", ("budget.minutes=0.001", "allowed is at least"), marks=pytest.mark.full),
        pytest.param(
            "budget.samples=10", ("budget.samples=10", "smaller than a study", "allowed is"), marks=pytest.mark.full
        ),
        ("budget.trials=1", ("budget.trials=1", "smaller than a study", "allowed is 3 or more")),
    ],
)
def test_budgets_that_are_too_small(shared: Runner, override: str, words: tuple[str, ...]) -> None:
    done = shared.run("run", *INLINE, *TINY, "study=spoiled", override)
    assert_refused(done, *words)
    assert not (shared.home / "studies" / "spoiled" / "plan.json").exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="may have one")
def test_a_device_that_is_not_there(shared: Runner) -> None:
    """Only a worker, which has torch, knows."""
    done = shared.run("run", *INLINE, *SHORT, "study=spoiled", "trainer.accelerator=mps")
    assert_refused(done, "trainer.accelerator=mps", "is not there", "this machine has", "cpu")


def test_a_good_run_of_a_study_that_was_refused(finished: Runner) -> None:
    summary = finished.summary("spoiled")
    assert summary["state"] == "completed"
    assert summary["trials"] == {"count": 1, "reused": 0, "failed": 0}


def test_a_home_that_is_a_file(runner: Runner, in_process: InProcess) -> None:
    runner.home.write_text("mine\n")
    assert_refused(in_process(runner).run("run", *SHORT), "ESPALIER_HOME is", "which is a file", "allowed is a folder")
    assert runner.home.read_text() == "mine\n"


def test_a_home_that_cannot_be_made() -> None:
    parent = Path("/sys")
    with contextlib.suppress(OSError):
        (parent / "espalier").mkdir()
        (parent / "espalier").rmdir()
        pytest.skip("everything can be written here")
    done = Runner(parent / "espalier").run("run", *SHORT, cwd=Path.cwd())
    assert_refused(done, "cannot write under /sys/espalier", "ESPALIER_HOME to a folder that can be written to")
    assert "space" not in done.stderr


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(path)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("nothing can be mounted here")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(disk: Path) -> None:
    """Until nothing more fits."""
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def test_a_disk_that_is_full_from_the_start(disk: Path, in_process: InProcess) -> None:
    fill(disk)
    done = in_process(Runner(disk / "home")).run("run", *INLINE, *SHORT)
    assert_refused(done, "cannot write under", "0.0 MiB are free", "at least 16", "space")


def test_a_disk_that_runs_full_half_way(finished: Runner, folder: Path, disk: Path) -> None:
    runner = Runner(disk / "home")
    command = ("run", *INLINE, *SHORT, "study=full", "data=mnist", f"data.root={folder}")
    process = runner.start_and_wait_for_trials(1, *command)
    try:
        fill(disk)
        output, errors = process.communicate(timeout=240)
    finally:
        if process.poll() is None:
            kill(process)
    done = subprocess.CompletedProcess(command, process.returncode, output, errors)
    assert_refused(done, "cannot write under", "no space left", "free some space")
    assert list(runner.home.rglob(".writing-*")) == []
    summary = runner.home / "studies" / "full" / "summary.json"
    # what was cleaned up may have made room for the last word
    assert not summary.exists() or json.loads(summary.read_text())["state"] == "failed"

    (disk / "filler").unlink()
    done = runner.run(*command)
    assert (done.returncode, done.stderr) == (0, "")
    summary, other = runner.summary("full"), finished.summary("spoiled")
    assert summary["trials"]["reused"] == 1
    assert summary["test_openings"] == 1
    for key in ("weights_sha256", "test_error"):
        assert summary["champion"][key] == other["champion"][key]


@pytest.mark.full
def test_a_disk_that_runs_full_while_prefects_server_starts(disk: Path) -> None:
    """The server then fails in words of its own, and gives back some of the disk."""
    runner = Runner(disk / "home")
    process = runner.start("run", *SHORT, "tracking.enabled=false", "study=full")
    while not (runner.home / "prefect" / "server.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    fill(disk)
    output, errors = process.communicate(timeout=240)
    done = subprocess.CompletedProcess(process.args, process.returncode, output, errors)
    assert_refused(done, "cannot write under", "free some space")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """An image, a page and a name of nothing."""
    found = {name: tmp_path / f"{name}.png" for name in ("good", "page", "missing")}
    Image.fromarray(labelled(slice(0, 1))[0][0]).save(found["good"])
    found["page"].write_text("<html>not found</html>")
    return found


def test_a_file_that_cannot_be_predicted(finished: Runner, files: dict[str, Path]) -> None:
    done = finished.run("predict", "spoiled", str(files["good"]), str(files["page"]))
    assert_refused(done, str(files["page"]), "no image", "PNG or JPEG")
    assert done.stdout == ""  # not half a table


def test_other_files_that_cannot_be_predicted(
    finished: Runner, in_process: InProcess, files: dict[str, Path], tmp_path: Path
) -> None:
    for path, words in ((files["missing"], ("no such file", "image files")), (tmp_path, ("not a file", "image files"))):
        done = in_process(finished).run("predict", "spoiled", str(files["good"]), str(path))
        assert_refused(done, str(path), *words)
        assert done.stdout == ""


@pytest.mark.parametrize("command", [("replay", "other"), ("report", "other"), ("report", "../other")])
def test_studies_that_are_not_there(finished: Runner, in_process: InProcess, command: tuple[str, ...]) -> None:
    assert_refused(in_process(finished).run(*command), "unknown study", "other", "allowed: spoiled")


def test_bundles_that_are_not_there(finished: Runner, in_process: InProcess, files: dict[str, Path]) -> None:
    predict = in_process(finished).run("predict", "other", str(files["good"]))
    assert_refused(predict, "no bundle 'other'", "no study", "there are: none")
    for command in ("promote", "serve"):
        assert_refused(
            in_process(finished).run(command, "spoiled"), "study 'spoiled' has no bundle", "deployment=bundle"
        )
    assert_refused(in_process(finished).run("rollback", "digits"), "nothing to go back to", "never live")


def test_a_rate_that_makes_the_loss_explode_at_once(shared: Runner) -> None:
    """In a process: the training goes back as often as it may, then the study ends; nothing is kept of it."""
    rate = ("optimizer=sgd", "averaging=none", "search=none", "training.learning_rate=1e30", "training.max_retreats=2")
    done = shared.run("run", *INLINE, "study=exploding", *rate)
    assert_refused(done, "diverged", "training.learning_rate=1e+30", "2 times", "smaller")
    assert (shared.home / "studies" / "exploding" / "summary.json").exists()
    assert "failed" in (shared.home / "studies" / "exploding" / "summary.json").read_text()


def test_a_batch_larger_than_the_data(shared: Runner) -> None:
    done = shared.run("run", *INLINE, "study=large", "training.batch_size=65536")
    assert_refused(done, "training.batch_size=65536", "larger than the training data", "allowed is up to")
