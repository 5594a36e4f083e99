"""Under load: a server that is killed is started again, a bundle is swapped for another."""

import http.client
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from deployed import INFER, ask

from modules.deployment.supervisor import Supervisor
from modules.errors import DeploymentError


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
    """A supervisor in a thread; `bundle` may be set."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle
        self.said: list[str] = []
        self.supervisor = Supervisor(lambda: self.bundle, "127.0.0.1", 0, self.said.append)
        self.port = self.supervisor.listener.getsockname()[1]
        self._thread = threading.Thread(target=self.supervisor.run)

    def __enter__(self) -> "Running":
        self._thread.start()
        deadline = time.monotonic() + 100
        while not self.said:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return self

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


def test_it_ends_gently(good):
    with Running(good) as running:
        assert ask(running.port, "GET", "/v2/health/ready")[0] == 200
    assert running.supervisor.server.returncode == 0
