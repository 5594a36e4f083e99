"""A folder of photographs from a look at it to a prediction, with what goes wrong in folders."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.integration.conftest import INLINE, Runner

SHORT = ("search=none", "training.max_epochs=2", "trainer.threads=1", "training.learning_rate=0.01")


def stripes(seed: int, upright: bool) -> Image.Image:
    """Stripes of a colour of their own, upright or level."""
    random = np.random.default_rng(seed)
    wave = 0.5 + 0.5 * np.sin(np.arange(40) / random.uniform(1.5, 3) + random.uniform(0, 6))
    pixels = np.tile(wave, (40, 1))[..., None] * random.uniform(120, 255, 3)
    return Image.fromarray((pixels if upright else pixels.transpose(1, 0, 2)).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("my photos") / "größe"
    for name, upright in (("upright", True), ("level", False)):
        (folder / name).mkdir(parents=True)
        for number in range(60):
            stripes(number + 1000 * upright, upright).save(folder / name / f"{number}.jpg", quality=92)
    (folder / "level" / "broken.jpg").write_bytes((folder / "level" / "1.jpg").read_bytes()[:300])
    (folder / "level" / "again").symlink_to(folder)
    return folder


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(tmp_path_factory.mktemp("work") / "home")


def test_a_look(runner: Runner, folder: Path) -> None:
    before = {path: os.stat(path).st_mtime_ns for path in folder.rglob("*")}
    done = runner.run("data", "data=folder", f"data.root={folder}")
    assert (done.returncode, done.stderr) == (0, "")
    for said in (
        "upright",
        "level",
        "left out: 2",
        "broken.jpg: it is damaged",
        "level/again: a link",
        "page: ",
    ):
        assert said in done.stdout
    (page,) = (runner.home / "data").glob("folder-*/index.html")
    assert "broken.jpg" in page.read_text()
    assert {path: os.stat(path).st_mtime_ns for path in folder.rglob("*")} == before


def test_a_study_of_it_and_a_prediction(runner: Runner, folder: Path, tmp_path: Path) -> None:
    done = runner.run("run", *INLINE, *SHORT, "study=photos", "data=folder", f"data.root={folder}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Files left out because they cannot be read: 1" in done.stdout
    study = runner.home / "studies" / "photos"
    assert runner.summary("photos")["state"] == "completed"
    assert {path.name for path in (study / "data").iterdir()} == {
        "contact_sheet.png",
        "index.html",
        "left_out.csv",
        "look.json",
    }
    assert "A look at the images" in (study / "report.html").read_text()
    stripes(5, True).resize((300, 200)).save(tmp_path / "new.png")
    predicted = runner.run("predict", "photos", str(tmp_path / "new.png"))
    assert predicted.returncode == 0
    assert predicted.stdout.splitlines()[1].split(",")[1] in ("upright", "level")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("data=folder",), ("data.root=DIR",)),
        (("data=folder", "data.root=nowhere"), ("nowhere", "does not exist", "it must be a folder")),
        (("data=folder", "data.root=.", "data.image_size=2"), ("data.image_size", "4 to 1024", "got 2")),
        (("data=folder", "data.root=.", "data.channels=2"), ("data.channels", "1, 3")),
        (("data=kmnist",), ("data.root=DIR", "data.download=true")),
    ],
)
def test_refused_in_a_sentence(runner: Runner, overrides: tuple[str, ...], words: tuple[str, ...]) -> None:
    done = runner.run("data", *overrides)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
