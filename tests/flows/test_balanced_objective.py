"""Where classes count alike, contests and tries compare the loss that edits are judged by, not the plain one."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flows import contests
from flows.contests import Contender, halve
from flows.tuning import Way
from modules.energy.meter import MeterChoice
from modules.evaluation.outputs import Outputs
from modules.search.climbing import Climbed
from modules.search.generation import Child
from modules.search.laboratory import Laboratory
from modules.search.rungs import rungs_of

PLAIN = {"common right": 0.2, "all alike": 0.3, "rare right": 0.4}  # losses by which the first is the best
RARE = np.array([0, 0, 0, 1])


def climbed(name: str) -> Climbed:
    trial: Any = SimpleNamespace(key=name, steer_loss=PLAIN[name])
    return Climbed((), ((None, trial),))  # type: ignore[arg-type]


def laboratory_in(home: Any, balanced: bool) -> Laboratory:
    nothing: Any = None
    laboratory = Laboratory(home, nothing, nothing, nothing, balanced=balanced, meter=MeterChoice())
    losses = {"common right": [0, 0, 0, 0.8], "all alike": [0.3] * 4, "rare right": [0.53, 0.53, 0.54, 0.0]}
    for name, each in losses.items():
        outputs = Outputs(np.asarray(each, np.float32), np.eye(2, dtype=np.float32)[[0, 0, 0, 0]], RARE)
        laboratory.store.put("trials", name, {}, lambda folder, said=outputs: said.write(folder / "steer.safetensors"))
    return laboratory


@pytest.mark.parametrize("balanced", [False, True])
def test_contests_and_tries_compare_what_edits_are_judged_by(
    tmp_path: Any, balanced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    study: Any = SimpleNamespace(
        laboratory=laboratory_in(tmp_path, balanced), each=lambda calls: [call() for call in calls]
    )
    asked: Any = SimpleNamespace(number=0)
    ways = {name: Way(SimpleNamespace(study=study), asked, climbed(name)) for name in PLAIN}  # type: ignore[arg-type]
    expected = {"common right": 0.4, "all alike": 0.3, "rare right": 0.8 / 3} if balanced else PLAIN
    assert {name: way.losses for name, way in ways.items()} == {
        name: (pytest.approx(loss, rel=1e-3),) for name, loss in expected.items()
    }
    contest: Any = SimpleNamespace(
        study=study, rungs=rungs_of(900, 2), climbing=lambda recipe, replicate, name: iter([climbed(name)] * 2)
    )
    monkeypatch.setattr(contests, "_entered", lambda contest, name, recipe: Child(proposal=recipe, description=name))
    monkeypatch.setattr(contests, "finished", lambda contest, child, way: Contender(child, way))
    recipe: Any = None
    contenders = halve(contest, [(name, recipe) for name in PLAIN])
    on = [one.child.description for one in contenders if one.climbed is not None]
    assert on == (["rare right"] if balanced else ["common right"])


@pytest.mark.parametrize("balanced", [False, True])
def test_errors_of_rare_classes_weigh_more_where_classes_count_alike(tmp_path: Any, balanced: bool) -> None:
    trial: Any = SimpleNamespace(key="all alike")
    evidence = laboratory_in(tmp_path, balanced).steer_evidence([trial])
    assert evidence.wrong.tolist() == [[False, False, False, True]]
    assert evidence.weights == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2.0] if balanced else 1.0)
