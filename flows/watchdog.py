"""The process that owns a home's Prefect server and ends it with its last client. Run by path; standard library only.

    python -I -S flows/watchdog.py FOLDER [PORT]            watches over the server of ESPALIER_HOME/prefect
    python -I -S flows/watchdog.py --with-parent COMMAND    runs a command that ends with the process that asked for it

It holds the lock on `watchdog.lock` and the listening socket for as long as it lives. The socket is handed to the
server already open, so nobody else's server can answer on its port, and a client that comes early just waits.
A client is alive while it holds the lock on its own file under `clients/`, which the system drops when a process dies.
Whoever joins and whoever ends does so under `join.lock`, so a client never joins a server that is about to go.
"""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LINGER_SECONDS = 2.0
_POLL_SECONDS = 0.5
_STOP_SECONDS = 8.0
_MAX_STARTS = 3  # in a row
_WELL_SECONDS = 600.0  # a server that lived so long did not fail to start
_SERVER = Path(__file__).with_name("prefect_server.py")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for the lock on a file and hold it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock on a file."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def living_clients(folder: Path) -> list[str]:
    """The names of the processes that use the server of this folder."""
    return sorted(path.stem for path in (folder / "clients").glob("*.lock") if is_locked(path))


def watch(folder: Path, port: int = 0) -> int:
    """Listen, say where, and stay as a daemon with the server until its last client has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is meant for the clients
    with (folder / "watchdog.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        listener = socket.create_server(("127.0.0.1", port), backlog=128)
        address = folder / "server.json"
        if daemon := os.fork():  # which keeps the lock and the socket
            _write(address, {"port": listener.getsockname()[1], "watchdog_pid": daemon})
            os._exit(0)
        server = _start_server(folder, listener)
        try:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            return _stay(folder, listener, server)
        finally:
            address.unlink(missing_ok=True)


def run_with_parent(command: list[str]) -> int:
    """Run a command, and end all that it started when standard input ends, because the other end of it has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_group_with_input, daemon=True).start()
    return process.wait()


def _end_group_with_input() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGTERM)


def _stay(folder: Path, listener: socket.socket, server: "subprocess.Popen[bytes]") -> int:
    num_starts, started, idle_since = 1, time.monotonic(), time.monotonic()
    try:
        while True:
            time.sleep(_POLL_SECONDS)
            if living_clients(folder):
                idle_since = time.monotonic()
                if server.poll() is not None:
                    num_starts = 0 if time.monotonic() - started > _WELL_SECONDS else num_starts
                    if num_starts == _MAX_STARTS:
                        return 1  # the socket closes with this process, so whoever waits is told at once
                    server, num_starts, started = _start_server(folder, listener), num_starts + 1, time.monotonic()
            elif time.monotonic() - idle_since > LINGER_SECONDS:
                with locked(folder / "join.lock"):
                    if not living_clients(folder):
                        _stop(server)
                        return 0
    finally:
        _stop(server)


def _start_server(folder: Path, listener: socket.socket) -> "subprocess.Popen[bytes]":
    """The server reads its standard input, whose end tells it that this process has died."""
    descriptor = listener.fileno()
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-P", str(_SERVER), str(descriptor)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[descriptor],
            cwd=folder,
        )


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)


if __name__ == "__main__":
    if sys.argv[1] == "--with-parent":
        sys.exit(run_with_parent(sys.argv[2:]))
    sys.exit(watch(Path(sys.argv[1]), *map(int, sys.argv[2:])))
