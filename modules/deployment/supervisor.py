"""Keeps a bundle's server running on one socket: starts it again if it dies, swaps bundles without a failed request.

The socket is opened here and handed down, so that it stays open whatever becomes of a server: while none accepts,
connections wait in it. At a swap the new server is ready before the old one is told to end, and the old one closes each
connection behind its next answer; where the new one does not come up, the old one stays.
"""

import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from modules.deployment.serving import start_server
from modules.errors import DeploymentError

_TURN_SECONDS = 0.2
_MOST_FAILURES = 3  # in a row
_START_SECONDS = 60.0


class Supervisor:
    """`current` says which bundle is to be served now; it is asked again and again."""

    def __init__(self, current: Callable[[], Path], host: str, port: int, say: Callable[[str], None]) -> None:
        self._current = current
        self._say = say
        self._ends = threading.Event()
        self._complaint = ""  # why nobody could say at the last time of asking what is to be served
        self.server: subprocess.Popen[str]
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self.listener = socket.create_server((host, port), family=family, backlog=1024)
        except OSError as error:
            raise DeploymentError(
                f"cannot listen on {host} port {port}: {_reason(error)}; choose another one with --port"
            ) from None

    def end(self) -> None:
        """Ask `run` to end; may be called by a handler of signals."""
        self._ends.set()

    def run(self) -> None:
        """Serve until `end` is called; DeploymentError where there is no server that runs and none comes up."""
        with self.listener:
            bundle = self._current()
            self.server = self._started(bundle)
            host, port, *_ = self.listener.getsockname()
            self._say(f"serving {bundle} at http://{host}:{port}; Ctrl-C ends it")
            try:
                self._keep_serving(bundle)
            finally:
                self.server.send_signal(signal.SIGTERM)
                self.listener.close()  # before the server has ended: nobody waits in it
                self.server.wait()

    def _keep_serving(self, bundle: Path) -> None:
        tried = bundle  # what was wanted last: one that did not start is not tried over and over
        while not self._ends.wait(_TURN_SECONDS):
            if self.server.poll() is not None:
                code = self.server.returncode
                self._say(f"the server of {bundle} ended with exit code {code}; it is started again")
                self.server = self._started(bundle)
            wanted = self._wanted(tried)
            if wanted not in (bundle, tried):
                bundle = self._swapped(bundle, wanted)
            tried = wanted

    def _wanted(self, before: Path) -> Path:
        """What is to be served; where nobody can say, what was wanted before, and why, once."""
        try:
            wanted = self._current()
        except (DeploymentError, OSError) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._say(f"what is served stays as it is: {error}")
            return before
        self._complaint = ""
        return wanted

    def _swapped(self, bundle: Path, wanted: Path) -> Path:
        """What is served from now on: what is wanted, or what was served where that does not come up."""
        try:
            server = self._started(wanted)
        except (DeploymentError, OSError) as error:
            self._say(f"still serving {bundle}: {error}")
            return bundle
        leaving, self.server = self.server, server
        self._say(f"serving {wanted} now")
        leaving.send_signal(signal.SIGTERM)
        threading.Thread(target=leaving.wait, daemon=True).start()
        return wanted

    def _started(self, bundle: Path) -> "subprocess.Popen[str]":
        """A server that listens. One that does not come up is tried some times."""
        for failures in range(_MOST_FAILURES):
            time.sleep(failures)
            reading, writing = os.pipe()
            try:
                server = start_server(bundle, self.listener, {"BUNDLE_READY": str(writing)}, (writing,), quiet=False)
            finally:
                os.close(writing)
            if _says_ready(reading):
                return server
            server.kill()
            server.wait()
        raise DeploymentError(f"the server of {bundle} did not start in {_MOST_FAILURES} tries; what it said is above")


def _reason(error: OSError) -> str:
    """Without the address, which Python adds to the words of the system; names of hosts have errors of their own."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def _says_ready(reading: int) -> bool:
    """Whether a byte comes through the pipe in time; it ends without one where the server ends before it listens."""
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        readable, _, _ = select.select([pipe], [], [], _START_SECONDS)
        return bool(readable and pipe.read(1))
