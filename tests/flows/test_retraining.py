"""Retraining: on changed data alone, from the weights that are live, and through the gate. Real studies on digits."""

from pathlib import Path

import pytest

from flows import retraining
from flows.experiment import load_data
from flows.opening import opened_study
from flows.retraining import last_judged, retrain
from flows.study import StudyFolder
from flows.translation import configured_data
from modules.config import Settings, resolve
from modules.data.arrays import open_arrays
from modules.data.corrections import identity_text
from modules.deployment.bundles import manifest_of
from modules.deployment.promotions import bundle_of, live_promotion, promotions
from modules.errors import ConfigError, StudyError
from modules.store import Store

_QUICK = ("search=none", "training.max_epochs=2", "trainer.threads=1", "orchestrator=inline", "explanation=none")


def settings_of(study: str, *overrides: str) -> Settings:
    return resolve([*_QUICK, f"study={study}", *overrides])


def corrected_label(home: Path, path: Path) -> Path:
    """A file that makes the first training image another digit."""
    data = configured_data(settings_of("none"), Store(home / "store"))
    arrays = open_arrays(home, data)
    first = arrays.indices("train")[0]
    given = int(arrays.labels[first])
    row = f"{identity_text(arrays.identities[first])},{data.classes[given]},{data.classes[(given + 1) % 10]}"
    path.write_text(f"identity,given,corrected\n{row}\n")
    return path


def test_a_retraining_without_a_bundle_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="deployment=none leaves a retraining nothing to bring to the gate"):
        retrain(settings_of("tonight", "deployment=none"), tmp_path, "run")


def test_night_after_night(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("ESPALIER_HOME", str(home))
    said = retrain(settings_of("first", "seed=0"), home, "run")
    assert said.startswith("digits ")
    assert "is live: nothing was live before" in said
    live = live_promotion("digits", home)
    assert live.study == "first"
    manifest = manifest_of(bundle_of(live, home))
    assert 0 < manifest.training_wh < manifest.energy["wh"]

    again = retrain(settings_of("second", "seed=0"), home, "run")
    assert again.startswith("the data has not changed since study first")
    assert not (home / "studies" / "second").exists()

    changed = corrected_label(home, tmp_path / "corrections.csv")
    said = retrain(settings_of("third", f"data.corrections={changed}"), home, "run")
    line = promotions(home)[-1]
    assert line.study == "third"
    assert line.action in ("promoted", "refused")
    assert line.version in said
    assert StudyFolder(home, "third").read("settings.json")["search"]["start"] == "first"
    assert last_judged("digits", home).study == "third"

    changed.write_text("identity,given,corrected\n")
    live = live_promotion("digits", home).study
    with pytest.raises(ConfigError, match=f"study={live} is the study that is live as digits"):
        retrain(settings_of(live, f"data.corrections={changed}"), home, "run")


def test_what_ends_without_a_bundle_is_not_trained_again(tmp_path, monkeypatch):
    home, trained = tmp_path / "home", []

    def end_without_a_bundle(settings: Settings, command: str) -> None:
        trained.append(settings.study_name)
        StudyFolder(home, settings.study_name).write("summary.json", {"bundle": None})

    monkeypatch.setattr(retraining, "run_study", end_without_a_bundle)
    assert retrain(settings_of("first"), home, "run") == (
        "digits does not go live: study first ended without a bundle, as a check of it failed; nothing is live"
    )
    assert retrain(settings_of("second"), home, "run").startswith("the data has not changed since study first")
    assert trained == ["first"]


def test_a_study_does_not_go_on_with_other_images(tmp_path, monkeypatch):
    home, corrections = tmp_path / "home", tmp_path / "corrections.csv"
    monkeypatch.setenv("ESPALIER_HOME", str(home))
    corrected_label(home, corrections)
    settings = settings_of("mine", f"data.corrections={corrections}")
    with opened_study(settings, home, "run", tracked=False) as study:
        load_data(study)
        study.folder.write("plan.json", {})  # from now on there is something to go on from
    corrections.write_text("identity,given,corrected\n")
    with (
        pytest.raises(StudyError, match=r"study 'mine' was begun on other images, .* or start this one over"),
        opened_study(settings, home, "run", tracked=False) as study,
    ):
        load_data(study)
