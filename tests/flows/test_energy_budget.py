"""What a study does once its watt-hours are used up, without a worker."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows import generations, trials
from flows.energy_account import EnergyAccount
from flows.generations import Generation
from flows.study import StudyFolder
from modules.energy.grids import find_grid
from modules.energy.meter import Energy, Estimate
from modules.search.failed import Failed
from modules.search.generation import Child
from modules.search.laboratory import Inherited
from modules.search.pace import Calibration
from tests.made_up_plan import CLOCKLESS

PLAN = CLOCKLESS.updated(wh=1.0, calibration=Calibration(samples_per_second=100, evaluation_seconds=0, watts=10.0))


class Account:
    """A study as far as its energy goes."""

    def __init__(self, wh: float) -> None:
        self.energy = SimpleNamespace(wh=wh)
        self.decisions: dict[str, Any] = {}

    def decided(self, question: str, decide: Any) -> Any:
        return self.decisions.setdefault(question, decide())


def test_a_child_is_left_out_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "attempt_trial", lambda *arguments: pytest.fail("it was trained"))
    proposal = SimpleNamespace(name="widen_layer", edit=None, reason="")
    inherited = SimpleNamespace(description="widen conv1", certificate=None)
    generation = Generation(Account(1.0), PLAN, None, 2)  # type: ignore[arg-type]
    child = generations.train_child(generation, proposal, inherited)  # type: ignore[arg-type]
    assert child.refused == "budget.wh=1 is used up"
    assert child.trained is None


@pytest.mark.parametrize("what", ["refused", "failed"])
def test_an_edit_that_only_one_seed_bears_is_given_up(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    again = Failed("it does not fit") if what == "refused" else Inherited(None, None, "", None)  # type: ignore[arg-type]
    monkeypatch.setattr(generations, "apply_edit", lambda *arguments: again)
    monkeypatch.setattr(generations, "_train_edited", lambda *arguments: Failed("its loss exploded"))
    trained = SimpleNamespace(recipe=None, trials=("first",))
    proposal = SimpleNamespace(name="widen_layer", edit=None, reason="")
    study = SimpleNamespace(seed=lambda replicate: replicate)
    trunk = SimpleNamespace(trained=SimpleNamespace(recipe=None, first=None))
    child = Child(proposal=proposal, description="widen conv1", trained=trained)  # type: ignore[arg-type]
    child = generations.train_again(Generation(study, PLAN, trunk, 2), child)  # type: ignore[arg-type]
    assert child.trained is None
    assert child.spent == ("first",)
    reason = "it does not fit" if what == "refused" else "its loss exploded"
    assert child.refused == f"with a second seed: {reason}"


def test_it_is_decided_once() -> None:
    study = Account(0.9)
    assert trials.out_of_energy(study, PLAN, "final training") is None  # type: ignore[arg-type]
    study.energy.wh = 1.1
    assert trials.out_of_energy(study, PLAN, "final training") is None  # type: ignore[arg-type]
    assert trials.out_of_energy(study, PLAN, "another") == "budget.wh=1 is used up"  # type: ignore[arg-type]


def test_without_a_budget_nothing_is_decided() -> None:
    study = Account(1e9)
    assert trials.out_of_energy(study, PLAN.updated(wh=None), "final training") is None  # type: ignore[arg-type]
    assert study.decisions == {}


def test_what_earlier_runs_of_a_study_used_counts(tmp_path) -> None:
    folder, seconds = StudyFolder(tmp_path, "mine"), [0.0]
    first = EnergyAccount(folder, Estimate(3600.0, lambda: seconds[0]), find_grid("DEU"))
    seconds[0] = 2.0
    assert first.wh == 2.0
    first.keep()
    again = EnergyAccount(folder, Estimate(3600.0, lambda: seconds[0]), find_grid("DEU"))
    seconds[0] = 3.5
    assert again.wh == 3.5
    assert again.used == Energy(wh=3.5, processor_seconds=3.5, method=first.used.method, measured=False)


def test_a_gpu_that_is_not_counted_is_said(tmp_path) -> None:
    account = EnergyAccount(StudyFolder(tmp_path, "mine"), Estimate(4.0, lambda: 0.0), find_grid(None))
    assert account.used_on("cpu") == account.used
    assert account.used_on("cuda").method.endswith("; without the GPU, which energy.meter=codecarbon counts")


def test_where_nothing_is_known_nothing_is_claimed(tmp_path) -> None:
    account = EnergyAccount(StudyFolder(tmp_path, "mine"), None, find_grid(None))
    account.keep()
    assert (account.used, account.wh) == (None, 0.0)
    assert not (tmp_path / "studies/mine/energy.json").exists()


def test_trials_that_others_trained_count(tmp_path) -> None:
    account = EnergyAccount(StudyFolder(tmp_path, "mine"), Estimate(4.0, lambda: 0.0), find_grid(None))
    for wh in (0.25, None, 0.5):
        account.add_trial(wh)
    assert account.wh == 0.75
    assert account.summary("cpu", latency_ms=2.0)["inference_mj"] is None  # nobody here was busy


def test_what_others_trained_does_not_make_an_image_dearer(tmp_path) -> None:
    seconds = [0.0]
    account = EnergyAccount(StudyFolder(tmp_path, "mine"), Estimate(4.0, lambda: seconds[0]), find_grid(None))
    seconds[0] = 9.0
    account.add_trial(1.0)
    assert account.summary("cpu", latency_ms=2.0)["inference_mj"] == 8.0
    assert account.used.processor_seconds == pytest.approx(900)
    account.keep()
    again = EnergyAccount(account.folder, Estimate(4.0, lambda: 0.0), find_grid(None))
    assert again.summary("cpu", latency_ms=2.0)["inference_mj"] == 8.0


@pytest.mark.parametrize("kept", [9.0, 0.0])
def test_a_training_that_was_gone_on_with_counts_once(tmp_path, kept) -> None:
    """Nine of its ten hours were in an earlier run, which wrote them down at a Ctrl-C, and at a kill did not."""
    folder, seconds = StudyFolder(tmp_path, "mine"), [0.0]
    first = EnergyAccount(folder, Estimate(3600.0, lambda: seconds[0]), find_grid(None))
    seconds[0] = kept
    first.keep()
    again = EnergyAccount(folder, Estimate(3600.0, lambda: seconds[0]), find_grid(None))
    seconds[0] += 1.0
    again.add_trial(10.0)
    assert again.wh == 10.0
    again.keep()
    assert EnergyAccount(folder, Estimate(3600.0, lambda: seconds[0]), find_grid(None)).wh == 10.0
