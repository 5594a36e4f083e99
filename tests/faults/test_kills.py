"""Studies killed at the n-th thing that they ask of the disk: the same winner bit for bit, nothing lost or doubled."""

from pathlib import Path
from typing import Literal

import pytest

from tests.faults.conftest import (
    FAULTS_OF_A_KILL,
    RUN,
    SERIAL,
    TWO,
    assert_no_doubles,
    mlflow_runs,
    num_operations,
    outcome,
    prefect_states,
    run_to_its_end,
    weights,
)
from tests.faults.faulty_disk import Fault
from tests.integration.conftest import Runner

KILLS = int(FAULTS_OF_A_KILL)
KINDS: tuple[tuple[Literal["stop", "truncate", "fail"], Literal["study", "process"]], ...] = (
    ("stop", "study"),
    ("stop", "process"),
    ("truncate", "study"),
    ("truncate", "process"),
    ("fail", "process"),
)


def fault_number(number: int, kills: int, operations: int, folder: Path) -> Fault:
    """The kills are spread over the whole of a study, and the kinds of them over the kills."""
    kind, victim = KINDS[number % len(KINDS)]
    at = 1 + (number * operations) // kills
    return Fault(kind, at, str(folder / f"count-{number}"), victim)


def killed_study(undisturbed: Runner, folder: Path, command: tuple[str, ...], number: int, kills: int) -> None:
    runner = Runner(folder / f"home-{number}")
    fault = fault_number(number, kills, num_operations(undisturbed), folder)
    run_to_its_end(runner, *command, fault=fault)
    assert fault.count >= fault.at, "it was never struck"
    assert outcome(runner) == outcome(undisturbed), fault
    assert weights(runner) == weights(undisturbed), fault


@pytest.mark.parametrize(
    ("command", "number"),
    [pytest.param(SERIAL, 2, marks=pytest.mark.full, id="serial"), pytest.param(TWO, 3, id="two processes")],
)
def test_a_few_kills(undisturbed: Runner, tmp_path: Path, command: tuple[str, ...], number: int) -> None:
    killed_study(undisturbed, tmp_path, command, number, kills=5)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(KILLS))
@pytest.mark.parametrize("command", [SERIAL, TWO], ids=["serial", "two processes"])
def test_kills_all_over_a_study(undisturbed: Runner, tmp_path: Path, command: tuple[str, ...], number: int) -> None:
    killed_study(undisturbed, tmp_path, command, number, KILLS)


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(0, 10, 2))
def test_kills_with_prefect_and_mlflow(undisturbed: Runner, tmp_path: Path, number: int) -> None:
    """Of the study's process, five times; none is left running, and MLflow shows each trial once."""
    runner = Runner(tmp_path / "home")
    at = 1 + (number * num_operations(undisturbed)) // 10
    starts = run_to_its_end(runner, *RUN, fault=Fault("stop", at, str(tmp_path / "count"), "study"))
    assert starts == 2
    assert outcome(runner) == outcome(undisturbed)
    runs = mlflow_runs(runner.home)
    assert len(runs) == 1 + runner.summary("tiny")["trials"]["count"]
    assert {status for _, status in runs} == {"FINISHED"}
    assert_no_doubles(runner.home)
    assert set(prefect_states(runner.home)) <= {"COMPLETED", "CRASHED", "FAILED", "CANCELLED"}
