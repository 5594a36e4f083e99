"""The ledger: what a study that is run again leaves of it, and steps that lead elsewhere."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import replay, reporting
from flows.study import StudyFolder
from modules.energy.grids import find_grid
from modules.errors import StudyError
from modules.records import Ledger, Step
from modules.search.generation import Trunk
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
        spec=lambda *arguments: spec, train=lambda *arguments: pytest.fail("it was trained")
    )
    step = STEP.updated(recipe=tiny_recipe().model_dump(mode="json"))
    with pytest.raises(StudyError, match=f"step 1 leads to trial {spec.key[:16]} here, the ledger says {'0' * 16}"):
        replay._take(step, 1, None, None, laboratory, tmp_path, None)  # type: ignore[arg-type]
