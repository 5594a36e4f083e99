"""The local Prefect server of an ESPALIER_HOME: shared by the processes that use it, gone when the last has gone.

Everything of it lies under ESPALIER_HOME/prefect: database, settings, logs, locks, and `server.json` with its port.
"""

import atexit
import fcntl
import http.client
import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO, NoReturn

from flows import watchdog
from modules.errors import InternalError, StudyError, UserError
from modules.store import explained_write_errors, write_text
from modules.tracking.database import file_of, make_ready
from modules.tracking.sink import default_uri, without_password

START_SECONDS = 120.0  # on a slow disk a new database takes most of it
_WATCHDOG = Path(watchdog.__file__)
_WATCH_SECONDS = 1.0
_MLFLOW_PORT = 5000  # MLflow's own; another where it is taken
_LOCAL_HOSTS = "127.0.0.1,localhost"

_SERVER_SETTINGS = {
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
}
# What a study does not need is left out of the local server: it saves a second or two at the start.
_SMALL_SERVER = {
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_FOREMAN_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_REPOSSESSOR_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
}


class Membership:
    """This process's part in the server of one home: the server lives at least as long as it is held.

    `identity` names this process among those that ever used the home, and `home_identity` the home among homes.
    """

    def __init__(self, home: Path, url: str | None, schedules: bool = False, port: int = 0) -> None:
        self.folder = home.resolve() / "prefect"
        self.identity = uuid.uuid4().hex[:12]
        self._given_url = url
        with explained_write_errors(home):
            (self.folder / "clients").mkdir(parents=True, exist_ok=True)
            with watchdog.locked(self.folder / "join.lock"):
                self.home_identity = self._read_home_identity()
                self._remove_dead_clients()
                self._lock = self._take_lock()
                if url is None:
                    self._have_server(schedules, port)

    def _have_server(self, schedules: bool, port: int) -> None:
        mark = self.folder / "schedules"  # there if the server that runs knows schedules
        if watchdog.is_locked(self.folder / "watchdog.lock"):
            if schedules and not mark.exists():
                self._lock.close()
                raise StudyError(
                    f"studies are running under {self.folder.parent} whose Prefect server knows no schedules; "
                    "wait until they have ended, or start `espalier server` first the next time"
                )
            return
        mark.unlink(missing_ok=True)
        if schedules:
            mark.touch()
        _start_watchdog(self.folder, schedules, port)

    def leave(self) -> None:
        """Give the membership back; a local server without any ends itself."""
        if not self._lock.closed:
            Path(self._lock.name).unlink(missing_ok=True)
            self._lock.close()

    @cached_property
    def url(self) -> str:
        """Where the API is, as soon as it answers."""
        if self._given_url is not None:
            _check_given(self._given_url)
            return self._given_url
        return self._wait_for_local()

    def is_alive(self, identity: str) -> bool:
        """Whether the process that took part under this identity still does."""
        return watchdog.is_locked(self._lock_path(identity))

    def _lock_path(self, identity: str) -> Path:
        return self.folder / "clients" / f"{identity}.lock"

    def _take_lock(self) -> IO[str]:
        file = self._lock_path(self.identity).open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{os.getpid()}\n")  # for people; what counts is the lock
        file.flush()
        return file

    def _remove_dead_clients(self) -> None:
        for path in (self.folder / "clients").glob("*.lock"):
            if not watchdog.is_locked(path):
                path.unlink(missing_ok=True)

    def _read_home_identity(self) -> str:
        path = self.folder / "home_identity"
        if not path.exists() or not path.read_text():
            write_text(path, uuid.uuid4().hex[:12])
        return path.read_text()

    def _wait_for_local(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        port = None
        while time.monotonic() < deadline:
            try:
                port = json.loads((self.folder / "server.json").read_text())["port"]
                if _is_healthy("127.0.0.1", port, "/api/health", deadline - time.monotonic()):
                    return f"http://127.0.0.1:{port}/api"
            except FileNotFoundError:
                pass
            if port is not None and not watchdog.is_locked(self.folder / "watchdog.lock"):
                break
            time.sleep(0.02)
        raise InternalError(
            f"Prefect's local server did not start; its log is {self.folder / 'server.log'} "
            "(orchestrator=inline runs the same study without Prefect)"
        )


_memberships: dict[Path, Membership] = {}


def join(home: Path, schedules: bool = False, port: int = 0) -> Membership:
    """Take part in the home's server until this process ends. Returns at once: `Membership.url` waits for the server.

    Where PREFECT_API_URL names a server, that one is used and none is started. With `schedules` it is a server that
    starts what is due; without, it may be one that does not. `port` is for one that is started (0: any).
    """
    home = home.resolve()
    if home not in _memberships:
        _memberships[home] = Membership(home, os.environ.get("PREFECT_API_URL"), schedules, port)
        atexit.register(_memberships[home].leave)
    return _memberships[home]


def serve_prefect(home: Path, port: int) -> None:
    """Prefect's server with all its services, until a Ctrl-C; the watchdog starts it again where it dies."""
    if "PREFECT_API_URL" in os.environ:
        raise StudyError(
            f"PREFECT_API_URL={os.environ['PREFECT_API_URL']} names a server that is not ours to start; "
            "unset it to have one of this home's own"
        )
    if port and _free_port(port) != port:
        raise StudyError(f"port {port} is taken; allowed is a free one, or --port 0 for any")
    membership = join(home, schedules=True, port=port)
    url = membership.url
    _mark_crashed_runs(membership)
    print(f"Prefect  {url.removesuffix('/api')}  schedules, flows, their runs")
    print(f"export PREFECT_API_URL={url}   # for Prefect's own command line")
    print("Ctrl-C ends it.", flush=True)
    try:
        _wait_for_its_end(membership)
    except KeyboardInterrupt:
        print()


def _wait_for_its_end(membership: Membership) -> NoReturn:
    while watchdog.is_locked(membership.folder / "watchdog.lock"):
        time.sleep(_WATCH_SECONDS)
    raise InternalError(f"Prefect's server has ended; its log is {membership.folder / 'server.log'}")


def serve_ui(home: Path) -> None:
    """Show the UIs of Prefect and MLflow until a Ctrl-C; of a server that was there before, say where they are."""
    home = home.resolve()
    uri, membership = default_uri(home), join(home)
    try:
        if uri.startswith(("http://", "https://")):
            _say_pages(without_password(uri), membership)
            if "PREFECT_API_URL" not in os.environ:
                print("Ctrl-C ends Prefect's.", flush=True)
                _wait_for_its_end(membership)
            return
        with _mlflow_ui(home, uri) as (process, address):
            _say_pages(address, membership)
            print("Ctrl-C ends what was started here.", flush=True)
            process.wait()
            raise InternalError(f"MLflow's server has ended; its log is {home / 'mlflow_ui.log'}")
    except KeyboardInterrupt:
        print()


def _say_pages(mlflow: str, membership: Membership) -> None:
    print(f"MLflow   {mlflow}  every study and trial: parameters, curves, figures, reports")
    _mark_crashed_runs(membership)
    print(f"Prefect  {membership.url.removesuffix('/api')}  the flows: what ran when, and how it ended")


@contextmanager
def _mlflow_ui(home: Path, uri: str) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """A server of MLflow's for a database, as soon as it answers, and its address."""
    database, port = file_of(uri), _free_port(_MLFLOW_PORT)
    if database is not None:
        make_ready(database)  # whole or not at all, which a server does not see to
    environment = {
        **os.environ,
        **without_proxy(),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": uri,  # it may hold a password, which is not for the list of processes
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", f"{port}", "--workers", "1"]
    command += ["--default-artifact-root", str(home / "artifacts")]
    with (home / "mlflow_ui.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_WATCHDOG), "--with-parent", *command],
            env=environment,
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for_mlflow(process, port, home / "mlflow_ui.log")
        yield process, f"http://127.0.0.1:{port}"
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def _wait_for_mlflow(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_healthy("127.0.0.1", port, "/health", timeout=5):
        if process.poll() is not None or time.monotonic() > deadline:
            raise InternalError(f"MLflow's server did not start; its log is {log}")
        time.sleep(0.2)


def _mark_crashed_runs(membership: Membership) -> None:
    from flows import prefect_client

    with prefect_client.configured(membership):
        prefect_client.mark_crashed_runs(membership)


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)) as listener:
            return int(listener.getsockname()[1])
    raise InternalError("there is no free port on 127.0.0.1")


def settings(folder: Path) -> dict[str, str]:
    """What any process that imports Prefect for the home whose Prefect folder this is must have in its environment."""
    return {
        "PREFECT_HOME": str(folder),
        "PREFECT_PROFILES_PATH": str(folder / "profiles.toml"),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "true",
        **without_proxy(),
    }


def without_proxy() -> dict[str, str]:
    """The variables that keep a proxy out of the way to this machine itself."""
    names = {}
    for name in ("NO_PROXY", "no_proxy"):
        given = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
        names[name] = f"{given},{_LOCAL_HOSTS}" if given else _LOCAL_HOSTS
    return names


def _start_watchdog(folder: Path, schedules: bool, port: int) -> None:
    (folder / "server.json").unlink(missing_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    with (folder / "server.log").open("wb") as log:
        subprocess.run(  # it comes back as soon as it listens, and stays as a daemon
            [sys.executable, "-I", "-S", str(_WATCHDOG), str(folder), str(port)],
            env={**inherited, **settings(folder), **_SERVER_SETTINGS, **({} if schedules else _SMALL_SERVER)},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a Ctrl-C or a closed terminal is not for it
        )


def _is_healthy(host: str, port: int, path: str, timeout: float) -> bool:
    """Asks without urllib, httpx or a proxy. A server that is starting holds the question until it can answer."""
    connection = http.client.HTTPConnection(host, port, timeout=max(timeout, 0.1))
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_healthy_url(url: str) -> bool:
    """Whether a Prefect server answers at an address of its API; of one that only Prefect can reach it is assumed."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" or parts.hostname is None:
        return True
    return _is_healthy(parts.hostname, parts.port or 80, f"{parts.path.rstrip('/')}/health", timeout=10)


def _check_given(url: str) -> None:
    if not is_healthy_url(url):  # of another, Prefect itself will say what is wrong with it
        raise UserError(
            f"no Prefect server answers at PREFECT_API_URL={url}; start one there, unset the variable to have a local "
            "one started, or use orchestrator=inline"
        )
