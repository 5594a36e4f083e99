"""Under load: a server that is killed is started again, a bundle is swapped for another."""

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from deployed import INFER, ask

from modules.deployment.supervisor import Supervisor
from modules.errors import DeploymentError
from modules.parts import CONF


class Load:
    """Clients that ask one after the other until told to stop; a new connection where the old one was closed."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.answers: Counter[str] = Counter()
        self.failed: list[str] = []
        self._stops = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(port,)) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stops.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not self._stops.is_set():
            try:
                connection.request("POST", INFER, bytes(64), {"inference-header-content-length": "0"})
                response = connection.getresponse()
                body = response.read()
                version = body.split(b'"model_version":"')[1].split(b'"')[0].decode()
                self.answers[version if response.status == 200 else str(response.status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
        connection.close()

    def wait_for(self, version: str, count: int = 20) -> None:
        """Until so many more answers came from a version."""
        wanted = self.answers[version] + count
        deadline = time.monotonic() + 100
        while self.answers[version] < wanted:
            assert time.monotonic() < deadline, self.failed[-3:]
            time.sleep(0.02)


class Running:
    """A supervisor in a thread; `bundle` may be set, and `fault`, where nobody can say which one it is."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle
        self.fault: Exception | None = None
        self.said: list[str] = []
        self.supervisor = Supervisor(self._current, "127.0.0.1", 0, self.said.append)
        self.port = self.supervisor.listener.getsockname()[1]
        self._thread = threading.Thread(target=self.supervisor.run)

    def _current(self) -> Path:
        if self.fault is not None:
            raise self.fault
        return self.bundle

    def __enter__(self) -> "Running":
        self._thread.start()
        self.wait_until_said("serving")
        return self

    def wait_until_said(self, words: str) -> None:
        deadline = time.monotonic() + 100
        while not any(words in line for line in self.said):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self.supervisor.end()
        self._thread.join()


@pytest.fixture(autouse=True)
def soon_drained(monkeypatch):
    monkeypatch.setenv("BUNDLE_DRAIN_SECONDS", "2")
    monkeypatch.setenv("BUNDLE_LOG_REQUESTS", "false")


def test_a_swap_under_load_fails_no_request(weak, good):
    with Running(weak) as running, Load(running.port) as load:
        load.wait_for(weak.name)
        running.bundle = good
        load.wait_for(good.name)
    assert load.failed == []
    assert set(load.answers) == {weak.name, good.name}


def test_a_server_that_is_killed_under_load_is_started_again(good):
    with Running(good) as running, Load(running.port, clients=4) as load:
        load.wait_for(good.name)
        running.supervisor.server.kill()
        load.wait_for(good.name)
    assert len(load.failed) <= 4  # those in flight
    assert set(load.answers) == {good.name}
    assert any("started again" in line for line in running.said)


def test_a_bundle_that_does_not_start_is_said(tmp_path):
    (tmp_path / "serve.py").write_text("raise SystemExit(2)")
    supervisor = Supervisor(lambda: tmp_path, "127.0.0.1", 0, lambda line: None)
    with pytest.raises(DeploymentError, match="did not start in 3 tries"):
        supervisor.run()
    refused = pytest.raises(
        DeploymentError, match=r"cannot listen on 127.0.0.1 port \d+: Address already in use; choose"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken, refused:
        Supervisor(lambda: tmp_path, "127.0.0.1", taken.getsockname()[1], lambda line: None)


def test_a_bundle_that_does_not_start_leaves_the_one_that_is_served(weak, good, tmp_path):
    (tmp_path / "serve.py").write_text("raise SystemExit(2)")
    with Running(good) as running, Load(running.port) as load:
        load.wait_for(good.name)
        running.bundle = tmp_path
        running.wait_until_said("did not start in 3 tries")
        load.wait_for(good.name)
        said = list(running.said)
        time.sleep(1)
        assert running.said == said  # it is tried and said once
        running.bundle = weak
        load.wait_for(weak.name)
    assert load.failed == []
    assert f"still serving {good}: the server of {tmp_path} did not start" in said[-1]


def test_where_nobody_can_say_what_is_wanted_what_is_served_goes_on(weak, good):
    with Running(good) as running, Load(running.port) as load:
        running.fault = DeploymentError("a line that this program did not write")
        running.wait_until_said("what is served stays as it is: a line that")
        load.wait_for(good.name)
        running.bundle, running.fault = weak, None
        load.wait_for(weak.name)
    assert load.failed == []
    assert sum("stays as it is" in line for line in running.said) == 1


@pytest.mark.parametrize("is_there_already", [True, False], ids=["ready", "starting"])
def test_a_server_ends_with_the_process_that_started_it_also_where_that_is_killed(good, is_there_already):
    script = (
        "import sys; from pathlib import Path; from modules.deployment.supervisor import Supervisor\n"
        "one = Supervisor(lambda: Path(sys.argv[1]), '127.0.0.1', 0, lambda line: print('said', line, flush=True))\n"
        "print(one.listener.getsockname()[1], flush=True)\n"
        "one.run()\n"
    )
    command = [sys.executable, "-c", script, str(good)]
    with subprocess.Popen(command, cwd=CONF.parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        time.sleep(0.3)  # the server has begun to start
        while is_there_already and not process.stdout.readline().startswith("said serving"):
            assert process.poll() is None
        process.kill()
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_server(("127.0.0.1", port)).close()
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_host_that_there_is_not_is_said_in_words(monkeypatch, tmp_path):
    def refuse(*_arguments, **_keywords):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(DeploymentError, match="cannot listen on nonsense port 1: Name or service not known; choose"):
        Supervisor(lambda: tmp_path, "nonsense", 1, lambda line: None)


def test_it_ends_gently(good):
    with Running(good) as running:
        assert ask(running.port, "GET", "/v2/health/ready")[0] == 200
    assert running.supervisor.server.returncode == 0
