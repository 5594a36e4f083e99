"""What a variant of a study is made of and is said to have cost, without a worker."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flows import credit, experiment
from flows.credit import AUTOMATIONS, Automation
from flows.study import Study, StudyFolder
from modules.config import resolve
from modules.parts import CONF
from modules.records import Ledger, Step
from modules.search.plan import Plan
from tests.unit.tiny_study import schedule, tiny_recipe

PRESETS = [[], *([f"experiment={path.stem}"] for path in sorted(CONF.glob("experiment/*.yaml")))]
ALL_USED = Plan(
    baseline_samples=40,
    generations=2,
    edits_per_generation=3,
    slice_samples=10,
    continued_samples=50,
    scratch_samples=50,
    evaluate_every=10,
    race_samples=30,
    tuning_before_samples=20,
    tuning_after_samples=20,
    prior="digest",
)
(AUGMENTATION,) = (one for one in AUTOMATIONS if one.name == "augmentation")


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: "".join(preset) or "default")
@pytest.mark.parametrize("automation", AUTOMATIONS, ids=lambda one: one.name)
def test_every_automation_can_be_left_out_of_every_preset(automation: Automation, preset: list[str]) -> None:
    settings = resolve(credit.without([*preset, "search=edits"], automation, seed=3))
    plan = credit.plan_without(ALL_USED, automation)
    assert not automation.is_used(settings, plan)
    assert (settings.seed, plan.total_samples) == (3, ALL_USED.total_samples)


@pytest.mark.parametrize(
    "typed",
    [
        ["augmentation=[shift,flip]", "~augmentation.transforms.shift", "augmentation.strength=0.5"],
        ["augmentation=auto", "augmentation.candidates=[rotate]"],
        ["search.space=recipe"],  # which varies how strong it is
    ],
)
def test_augmentation_is_left_out_however_it_was_asked_for(typed: list[str]) -> None:
    overrides = credit.without(["experiment=accurate", "search=edits", *typed], AUGMENTATION, seed=0)
    assert not AUGMENTATION.is_used(resolve(overrides), ALL_USED)


def leave_ledger(home: Path) -> StudyFolder:
    folder = StudyFolder(home, "s")
    step = Step(
        trial="t", seed=0, slice={}, schedule=schedule("Constant"), recipe=tiny_recipe().model_dump(mode="json")
    )
    ledger = Ledger(study="s", baseline="t", lineage=(step,)).sealed()
    folder.path.mkdir(parents=True)
    (folder.path / "ledger.json").write_text(ledger.model_dump_json())
    return folder


@pytest.mark.parametrize(("most", "has_to"), [(10**6, False), (10, True)])
def test_edits_cannot_be_left_out_of_what_had_to_shrink(tmp_path: Path, most: int, has_to: bool) -> None:
    (structure,) = (one for one in AUTOMATIONS if one.name == "structure")
    typed = ["search=edits", f"objective.max_params={most}"]
    reason = credit._obstacle(leave_ledger(tmp_path), typed, structure, 0)
    assert (reason is not None) is has_to


def test_what_a_space_varies_cannot_be_left_out_and_that_is_known_before_anything_is_trained(tmp_path: Path) -> None:
    typed, folder = ["search=edits", "search.space=images"], leave_ledger(tmp_path)
    reasons = {one.name: credit._obstacle(folder, typed, one, 0) for one in AUTOMATIONS}
    refused = {name: why for name, why in reasons.items() if why is not None}
    assert list(refused) == ["augmentation", "selection"]
    assert all("contradicts search.space=images" in why for why in refused.values())


def test_a_variant_that_leaves_nothing_out_is_a_fault_of_ours(tmp_path: Path) -> None:
    idle = AUGMENTATION._replace(name="averaging", overrides=())
    with pytest.raises(AssertionError, match="without-averaging-0 does not leave it out"):
        credit._variant(StudyFolder(tmp_path, "s"), ["augmentation=shift"], ALL_USED, 0, idle)
    assert list(tmp_path.iterdir()) == []


def test_variants_train_with_the_batches_that_the_study_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(experiment.reporting, "track_start", lambda study, recipe: None)
    settings = resolve(["training.batch_size=measured", "training.find_rate=false"])
    measured = iter([64, 128])

    def batch_size(name: str) -> int:
        laboratory = SimpleNamespace(
            num_selected=lambda recipe: 1000, measure_batch_size=lambda recipe, largest: next(measured)
        )
        some: Any = SimpleNamespace(say=lambda said: None)
        study = Study(settings, tmp_path, StudyFolder(tmp_path, name), some, None, some, some, some, "")
        study._laboratory = laboratory  # type: ignore[assignment]
        return int(experiment.tune_recipe(study, tiny_recipe()).batch_size)

    folder, inner = StudyFolder(tmp_path, "s"), StudyFolder(tmp_path, "s/credit/without-averaging-0")
    assert batch_size("s") == 64
    credit._give_start(folder, inner, ALL_USED)
    assert [batch_size("s"), batch_size(inner.name), batch_size("another")] == [64, 64, 128]


@pytest.mark.parametrize(("last", "expected"), [(0.5, 0.875), (None, None)])
def test_energy_and_seconds_are_those_of_all_trials(
    monkeypatch: pytest.MonkeyPatch, last: float | None, expected: float | None
) -> None:
    """Also of the baseline and of what was stopped on the way, which are in no row of the ledger."""
    results = [SimpleNamespace(seconds=2.0, energy_wh=wh) for wh in (0.25, 0.125, last)]
    architecture = SimpleNamespace(params=10)
    winner = SimpleNamespace(
        seen=SimpleNamespace(wrong=np.array([True, False])), recipe=SimpleNamespace(architecture=architecture)
    )
    monkeypatch.setattr(
        credit, "find_winner", lambda study: SimpleNamespace(final=SimpleNamespace(winner=winner, rows=()))
    )
    written: dict[str, Any] = {}
    study: Any = SimpleNamespace(
        runs={str(place): SimpleNamespace(result=result) for place, result in enumerate(results)},
        clock=SimpleNamespace(now=0.0),
        folder=SimpleNamespace(write=lambda name, content: written.update({name: content})),
    )
    credit._ablation_flow(study)
    ended = written["ended.json"]
    assert (ended["wrong"], ended["seconds"], ended["energy_wh"]) == ([1, 0], 6.0, expected)
