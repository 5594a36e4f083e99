"""The ledger: what a study that is run again leaves of it, and steps that lead elsewhere."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import replay, reporting
from flows.study import StudyFolder
from modules.energy.grids import find_grid
from modules.errors import StudyError
from modules.recipe import Distillation
from modules.records import Ledger, Step
from modules.search.generation import Trunk
from modules.store import Store
from modules.training.spec import Start
from tests.unit.search.made_up_rows import row
from tests.unit.tiny_study import make_data, schedule, tiny_recipe, tiny_spec

STEP = Step(trial="0" * 32, seed=0, slice={"samples": 160, "evaluate_every": 80}, schedule=schedule("Constant"))
WHOLE = Ledger(study="mine", baseline=STEP.trial, final=(row(kept=True),), lineage=(STEP,)).sealed()
TRUNK = Trunk(None, 0, lineage=(STEP,))  # type: ignore[arg-type]


@pytest.fixture
def study(tmp_path: Path) -> Any:
    folder = StudyFolder(tmp_path, "mine")
    folder.path.mkdir(parents=True)
    return SimpleNamespace(name="mine", folder=folder, energy=SimpleNamespace(grid=find_grid(None)))


def test_a_ledger_with_its_end_is_not_cut_short_by_the_same_study(study: Any) -> None:
    path = study.folder.path / "ledger.json"
    path.write_text(WHOLE.model_dump_json())
    reporting.write_ledger(study, TRUNK)
    assert Ledger.read(path) == WHOLE


@pytest.mark.parametrize("before", [None, "half of a", WHOLE.updated(seal="").model_dump_json()])
def test_a_ledger_that_is_no_whole_one_is_written_as_far_as_it_goes(study: Any, before: str | None) -> None:
    path = study.folder.path / "ledger.json"
    if before is not None:
        path.write_text(before)
    reporting.write_ledger(study, TRUNK)
    assert Ledger.read(path).lineage == (STEP,)
    assert Ledger.read(path).final == ()


def test_a_step_that_leads_elsewhere_is_not_trained_first(tmp_path: Path) -> None:
    spec = tiny_spec(make_data(tmp_path))
    laboratory: Any = SimpleNamespace(
        spec=lambda *arguments: spec,
        train=lambda *arguments: pytest.fail("it was trained"),
        store=Store(tmp_path / "scratch"),
    )
    step = STEP.updated(recipe=tiny_recipe().model_dump(mode="json"))
    with pytest.raises(StudyError, match=f"step 1 leads to trial {spec.key[:16]} here, the ledger says {'0' * 16}"):
        replay._take(step, 1, None, None, laboratory, tmp_path, None)  # type: ignore[arg-type]


TEACHER = "7" * 32
TAUGHT = tiny_recipe(distillation=Distillation(teacher=TEACHER, weights_sha256="", weight=0.5, temperature=2.0))


@pytest.mark.parametrize("start", [None, Start(kind="edits", key="5" * 32, state_sha256="")])
def test_a_replay_brings_the_network_that_was_learnt_from(tmp_path: Path, start: Start | None) -> None:
    """Where the step begins with something else, as a winner that is trained from scratch does."""
    home, scratch = Store(tmp_path / "home" / "store"), Store(tmp_path / "scratch")
    for kind, key in (("trials", TEACHER), ("edits", "5" * 32)):
        home.put(kind, key, {}, lambda folder: (folder / "weights.safetensors").write_text("its weights"))
    for _ in range(2):
        replay._bring_what_it_names(TAUGHT, start, tmp_path / "home", scratch)
        entry = scratch.find("trials", TEACHER)
        assert entry is not None
        assert entry.file("weights.safetensors").read_text() == "its weights"
        assert (scratch.find("edits", "5" * 32) is None) == (start is None)


def test_a_teacher_that_the_store_no_longer_has_is_said(tmp_path: Path) -> None:
    said = f"the study learnt from trials/{TEACHER[:16]}, which the store no longer has"
    with pytest.raises(StudyError, match=said):
        replay._bring_what_it_names(TAUGHT, None, tmp_path, Store(tmp_path / "scratch"))


def test_a_ledger_that_is_gone_is_said(tmp_path: Path) -> None:
    said = "there is no ledger at .*ledger.json; run the study's command again, which writes it anew"
    with pytest.raises(StudyError, match=said):
        Ledger.read(tmp_path / "ledger.json")
