"""Schedules: what is refused before anything starts, and a real server that runs, refuses and cancels what is asked."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import experiment, scheduled
from flows.cli import main
from flows.schedule import zone_of
from flows.server import Membership
from flows.watchdog import is_locked
from modules.config import Settings, check_from_afar, resolve
from modules.errors import ConfigError, StudyError
from tests.integration.conftest import PATIENCE

QUICK = ("search=none", "training.max_epochs=1", "trainer.threads=1")
LONG = ("search=none", "training.max_epochs=4000", "trainer.threads=1")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("hydra.run.dir=/tmp", "Hydra's own settings are fixed"),
        ("+training.more=1", "no key can be added with +"),
        ("~augmentation.transforms.shift", "nothing can be taken out with ~ from afar"),
        ("data.root=${oc.env:HOME}", "cannot refer to anything"),
        (r"study=$\{oc.env:HOME\}", "cannot refer to anything"),
        ("study='${oc.env:HOME}'", "cannot refer to anything"),
        (r"search.edits=[widen_layer,$\{oc.env:HOME\}]", "cannot refer to anything"),
        (r"data={root:{$\{a\}:$\{oc.env:HOME\}}}", "cannot refer to anything"),
        ("runner.address=tcp://10.0.0.1:8786", "runner.address cannot be chosen from afar"),
        ("runner={kind:dask,address:'tcp://10.0.0.1:8786'}", "runner.address cannot be chosen from afar"),
        ("tracking.uri=http://10.0.0.1:5000", "allowed is MLFLOW_TRACKING_URI in the environment"),
        ("seed=1,2", "holds several values"),
        ("no override", "cannot read the override"),
    ],
)
def test_from_afar_come_data_and_nothing_else(override, said):
    with pytest.raises(ConfigError, match=said.replace("+", r"\+")):
        check_from_afar(["data=digits", override])


def test_a_target_cannot_be_set_from_afar_or_near():
    with pytest.raises(ConfigError, match="only the targets that the shipped yamls name can run"):
        resolve(["optimizer._target_=os.system"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cron", "at two", "--name", "nightly"], "--cron 'at two' says no time; allowed are five fields"),
        (["--cron", "0 2 * * *", "--name", "a/b"], "--name 'a/b' cannot be a schedule's name"),
        (["--cron", "0 2 * * *", "--timezone", "Mars", "--name", "a"], "--timezone 'Mars' is unknown"),
        (["--cron", "0 2 * * *", "--name", "a", "data=cats"], "unknown choice for data"),
        (["--cron", "0 2 * * *", "--name", "a", "seed=one"], "seed must be a whole number"),
        (["--cron", "0 2 * * *"], "required: --name"),
        (["--cron", "0 2 * * *", "--name", "a", "fresh=true"], "fresh=true would start a study over whenever"),
        (["--cron", "0 * * * *", "--name", "a", "--retrain", "study=mine"], "--retrain needs another each time"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_at_once(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    assert main(["schedule", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("due", "name"),
    [
        (datetime(2026, 10, 24, 23, 5, tzinfo=UTC), "nightly-2026-10-25T0105"),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "nightly-2026-10-25T0230"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "nightly-2026-10-25T0230-2"),  # summer time has ended
    ],
)
def test_studies_are_named_by_the_clock_of_their_schedule(tmp_path, monkeypatch, due, name):
    monkeypatch.setattr(scheduled, "flow_run", SimpleNamespace(scheduled_start_time=due))
    monkeypatch.setattr(scheduled, "deployment", SimpleNamespace(name="nightly"))
    assert scheduled.named(resolve([]), tmp_path, zone_of("Europe/Vienna")).study == name


def test_a_study_that_is_tried_again_is_not_started_over(tmp_path, monkeypatch):
    started_over = []

    def fail_once(settings: Settings, overrides: list[str], retraining: bool) -> str:
        started_over.append(settings.fresh)
        if len(started_over) == 1:
            raise OSError("the disk was away for a moment")
        return "done"

    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path))
    monkeypatch.setattr(scheduled, "_SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(scheduled, "_run", fail_once)
    state = scheduled.scheduled_study.fn(["study=mine", "fresh=true"])
    assert (state.is_completed(), state.message) == (True, "done")
    assert started_over == [True, False]


def test_a_study_keeps_its_command_as_a_shell_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []
    for module in (experiment, scheduled):
        monkeypatch.setattr(module, "run_study", lambda settings, command: commands.append(command))
    overrides = ["study=mine", "augmentation=[shift,flip]", "data.corrections=my labels.csv"]
    experiment.experiment(overrides)
    scheduled._run(resolve(overrides), overrides, retraining=False)
    assert commands == 2 * ["espalier run study=mine 'augmentation=[shift,flip]' 'data.corrections=my labels.csv'"]


class Api:
    """The home's Prefect server, asked as its own pages ask it."""

    def __init__(self, home: Path) -> None:
        self.url = f"http://127.0.0.1:{json.loads((home / 'prefect' / 'server.json').read_text())['port']}/api"

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(60):
            try:
                with opener.open(request, timeout=60) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                if error.code != 503:  # its database is busy: it asks to be asked again
                    raise
                time.sleep(1)
        raise AssertionError(f"{path} was not answered")

    def run_now(self, *overrides: str) -> str:
        (deployment,) = self.ask("/deployments/filter", {})
        run = self.ask(
            f"/deployments/{deployment['id']}/create_flow_run",
            {"parameters": {"overrides": list(overrides)}, "state": {"type": "SCHEDULED"}},
        )
        return str(run["id"])

    def state(self, run: str) -> tuple[str, str | None]:
        state = self.ask(f"/flow_runs/{run}")["state"]
        return state["type"], state["message"]

    def wait(self, run: str, *states: str) -> str | None:
        wait_until(lambda: self.state(run)[0] in states)
        return self.state(run)[1]


def wait_until(condition: Callable[[], Any], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.2)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    """A schedule that is next due in the year's first night."""
    home = tmp_path / "home"
    command = [sys.executable, "-P", "-m", "flows.cli", "schedule", "--cron", "0 2 1 1 *", "--name", "nightly", *QUICK]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command, env={**os.environ, "ESPALIER_HOME": str(home)}, stdout=log, stderr=log, cwd=tmp_path
        )
    yield home, process
    process.kill()
    process.wait()


@pytest.mark.full
@pytest.mark.timeout(900)
def test_a_schedule_runs_refuses_and_cancels_one_study_at_a_time(served: tuple[Path, "subprocess.Popen[str]"]) -> None:
    home, process = served
    log = home.parent / "log"
    wait_until(lambda: "Ctrl-C ends it." in log.read_text())
    api = Api(home)
    wait_until(lambda: api.ask("/deployments/filter", {}))

    long = api.run_now(*LONG)
    wait_until(lambda: list(home.glob("studies/*/plan.json")))
    wrong, quick = api.run_now("data=cats"), api.run_now(*QUICK)
    assert api.state(quick)[0] == "SCHEDULED"  # waits for its turn
    assert api.ask(f"/flow_runs/{long}/set_state", {"state": {"type": "CANCELLING"}})["status"] == "ACCEPT"
    api.wait(long, "CANCELLED")
    summaries = [json.loads(path.read_text()) for path in home.glob("studies/*/summary.json")]
    assert [summary["state"] for summary in summaries] == ["interrupted"]

    message = api.wait(wrong, "FAILED")
    assert message is not None
    assert message.startswith("unknown choice for data: cats")
    api.wait(quick, "COMPLETED")
    states = {json.loads(path.read_text())["state"] for path in home.glob("studies/*/summary.json")}
    assert states == {"interrupted", "completed"}
    assert all(path.name.startswith("nightly-20") for path in home.glob("studies/*"))

    last = api.run_now(*LONG)
    api.wait(last, "RUNNING")
    wait_until(lambda: len(list(home.glob("studies/*/plan.json"))) == 3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    states = [json.loads(path.read_text())["state"] for path in home.glob("studies/*/summary.json")]
    assert sorted(states) == ["completed", "interrupted", "interrupted"]
    assert "Traceback" not in log.read_text(), log.read_text()
    assert "Warning" not in log.read_text()


@pytest.mark.timeout(900)
def test_a_server_of_its_own_is_started_again_where_it_dies(tmp_path: Path) -> None:
    home, log = tmp_path / "home", tmp_path / "log"
    command = [sys.executable, "-P", "-m", "flows.cli", "server", "--port", "0"]
    with log.open("w") as file:
        process = subprocess.Popen(command, env={**os.environ, "ESPALIER_HOME": str(home)}, stdout=file, stderr=file)
    try:
        wait_until(lambda: "Ctrl-C ends it." in log.read_text())
        watchdog = json.loads((home / "prefect" / "server.json").read_text())["watchdog_pid"]
        (server,) = Path(f"/proc/{watchdog}/task/{watchdog}/children").read_text().split()
        os.kill(int(server), signal.SIGKILL)
        wait_until(lambda: Path(f"/proc/{watchdog}/task/{watchdog}/children").read_text().split() not in ([server], []))
        assert Api(home).ask("/deployments/filter", {}) == []  # the socket waits until the new one answers
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text(), log.read_text()
    wait_until(lambda: not is_locked(home / "prefect" / "watchdog.lock"))


def test_a_small_server_that_is_in_use_is_not_taken_for_one_with_schedules(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.server._start_watchdog", lambda folder, schedules, port: None)
    monkeypatch.setattr("flows.server.watchdog.is_locked", lambda path: path.name == "watchdog.lock")
    with pytest.raises(StudyError, match="whose Prefect server knows no schedules"):
        Membership(tmp_path, None, schedules=True)
    (tmp_path / "prefect" / "schedules").touch()
    Membership(tmp_path, None, schedules=True).leave()
