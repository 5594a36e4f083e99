"""However many trials are trained at once and wherever: the same bits, and nothing lost where a worker dies."""

import os
import signal
from pathlib import Path

import pytest

from tests.integration.conftest import INLINE, PATIENCE, TINY, Runner, is_alive, kill, workers_of

RUN = ("run", *TINY, *INLINE, "study=tiny")
TWO = (*RUN, "runner=processes", "runner.workers=2")


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    runner = Runner(tmp_path_factory.mktemp("serial") / "home")
    done = runner.run(*RUN)
    assert done.returncode == 0, done.stderr
    return runner


def trials(runner: Runner) -> dict[str, str]:
    """All trials of the store with the digest of what each gave; the times in a record differ from run to run."""
    found = (runner.home / "store" / "trials").glob("??/[0-9a-f]*/weights.safetensors")
    return {path.parent.name: path.read_bytes().hex() for path in found}


def assert_same(runner: Runner, serial: Runner) -> None:
    assert runner.summary("tiny")["champion"]["weights_sha256"] == serial.summary("tiny")["champion"]["weights_sha256"]
    assert trials(runner) == trials(serial)


def test_two_processes_give_the_bits_of_one(serial: Runner, runner: Runner) -> None:
    done = runner.run(*TWO)
    assert (done.returncode, done.stderr) == (0, "")
    assert_same(runner, serial)
    trained = [line.partition("generation 1 ")[2].partition(":")[0] for line in done.stdout.splitlines()]
    assert len({"control seed 0", "control seed 1000"} & set(trained)) == 2
    assert len(list(filter(None, trained))) == 5  # and two edits, one of them with two seeds
    assert runner.run(*TWO).returncode == 0
    assert runner.summary("tiny")["trials"]["reused"] == runner.summary("tiny")["trials"]["count"]


@pytest.mark.full
def test_one_of_two_workers_killed_loses_its_trial_alone(serial: Runner, runner: Runner) -> None:
    process = runner.start_and_wait_for_trials(1, *TWO)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert_same(runner, serial)


@pytest.mark.full
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.faults),
        pytest.param(signal.SIGKILL, -9, marks=pytest.mark.faults),
    ],
)
def test_a_signal_ends_two_workers_and_what_follows_goes_on(serial: Runner, runner: Runner, number: int, code: int):
    process = runner.start_and_wait_for_trials(2, *TWO)
    workers = workers_of(process)
    _, errors = kill(process, number)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert len(errors.splitlines()) <= 1
    if number != signal.SIGKILL:
        assert not any(map(is_alive, workers))
    assert not list(runner.home.glob("store/memory/??/*"))  # nobody ran out of memory
    assert runner.run(*TWO).returncode == 0
    assert_same(runner, serial)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("runner.workers=2", "runner.workers=2 contradicts runner=serial"),
        ("runner=threads", "allowed: dask, processes, ray, serial"),
        ("runner=[processes]", "runner takes one choice"),
    ],
)
def test_a_runner_that_cannot_be_is_refused(tmp_path: Path, override: str, said: str) -> None:
    done = Runner(tmp_path / "home").run("run", override)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
