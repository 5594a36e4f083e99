"""A bundle's server in a process of its own, on a socket that this process opened: it cannot meet another one there."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from modules.errors import DeploymentError

_START_SECONDS = 60.0
_END_SECONDS = 30.0


@contextmanager
def served(bundle: Path, settings: Mapping[str, str] | None = None) -> Iterator[int]:
    """The port of a server of the bundle, which ends with the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = start_server(bundle, listener, {"BUNDLE_LOG_REQUESTS": "false", **(settings or {})})
        try:
            port = listener.getsockname()[1]
            wait_until_ready(process, port)
            yield port
        finally:
            process.kill()
            process.communicate(timeout=_END_SECONDS)


def start_server(
    bundle: Path,
    listener: socket.socket,
    settings: Mapping[str, str],
    descriptors: Sequence[int] = (),
    quiet: bool = True,
) -> "subprocess.Popen[str]":
    """The bundle's own start command, with this interpreter; it inherits the socket and `descriptors`.

    It ends with this process, also where that is killed.
    """
    handed = {"BUNDLE_SOCKET": str(listener.fileno()), "BUNDLE_PARENT": str(os.getpid())}
    ours = {name: value for name, value in os.environ.items() if not (quiet and name.startswith("BUNDLE_"))}
    return subprocess.Popen(
        [sys.executable, str(bundle / "serve.py")],
        env={**ours, **settings, **handed, "PYTHONDONTWRITEBYTECODE": "1"},
        pass_fds=[listener.fileno(), *descriptors],
        start_new_session=True,  # a Ctrl-C is the parent's to handle
        stdout=subprocess.DEVNULL if quiet else None,
        stderr=subprocess.PIPE if quiet else None,
        text=True,
    )


def wait_until_ready(process: "subprocess.Popen[str]", port: int) -> None:
    """DeploymentError where the server ends before it is ready, or takes too long."""
    deadline = time.monotonic() + _START_SECONDS
    while not _is_ready(port):
        if process.poll() is not None:
            said = process.stderr.read().strip() if process.stderr is not None else ""
            raise DeploymentError(f"the bundle's server did not start: {said or f'exit code {process.returncode}'}")
        if time.monotonic() > deadline:
            raise DeploymentError(f"the bundle's server was not ready within {_START_SECONDS:g} seconds")
        time.sleep(0.02)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
