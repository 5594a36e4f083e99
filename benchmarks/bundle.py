"""What does a bundle cost? Its size once installed, its cold start, its memory, and the time to make and check it.

    python -m benchmarks.bundle

Installs the bundle with its own `install.py` into an environment of its own, which needs a package index at hand; the
cold start is from the start command to the first ready answer, the median of 5. Two minutes.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.made_bundle import made_bundle
from benchmarks.rows import Row, print_rows
from modules.deployment.serving import wait_until_ready

_STARTS = 5


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        bundle = made_bundle(Path(folder), int8=True)
        making = time.perf_counter() - started
        environment = Path(folder) / "environment"
        subprocess.run([sys.executable, str(bundle / "install.py"), str(environment)], check=True)
        installed = (_bytes(environment) + _bytes(bundle)) / 1e6
        starts, memory = zip(*(_started(bundle, environment) for _ in range(_STARTS)), strict=True)
    cold, idle = statistics.median(starts), max(memory) / 1e6
    print_rows(
        [
            Row(
                "bundle: environment and files, installed",
                "≤ 180 MB",
                installed,
                f"{installed:.0f} MB",
                installed <= 180,
                "–",
            ),
            Row("bundle: cold start to ready", "≤ 2 s", cold, f"{cold:.2f} s (median of 5)", cold <= 2, "–"),
            Row("bundle: idle memory", "≤ 150 MB", idle, f"{idle:.0f} MB", idle <= 150, "–"),
            Row("bundle: export, int8, checks and files", "≤ 45 s", making, f"{making:.1f} s", making <= 45, "–"),
        ]
    )


def _bytes(folder: Path) -> int:
    """On disk."""
    return sum(512 * path.lstat().st_blocks for path in folder.rglob("*"))


def _started(bundle: Path, environment: Path) -> tuple[float, int]:
    """Seconds to ready, and bytes of memory after it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(environment / "bin" / "python"), str(bundle / "serve.py")],
            env={**os.environ, "BUNDLE_SOCKET": str(listener.fileno()), "PYTHONDONTWRITEBYTECODE": "1"},
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
            text=True,
        )
        try:
            wait_until_ready(process, listener.getsockname()[1])
            seconds = time.perf_counter() - started
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            return seconds, pages * os.sysconf("SC_PAGE_SIZE")
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
