"""`espalier doctor`: looks at what a study would meet here, and says what to do about what is not as it should be."""

import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flows.server import is_healthy_url
from modules.errors import EspalierError
from modules.extras import install_command
from modules.store import Store
from modules.workers.pool import WorkerPool

_NEEDED = ("torch", "pytorch-lightning", "prefect", "mlflow", "hydra-core", "onnx", "onnxruntime", "safetensors")
_EXTRAS = {"runner=dask": ("prefect_dask", "dask"), "runner=ray": ("prefect_ray", "ray")}
# What is known to break, from what version on, and how.
_BREAKS = {
    "fastapi": ((0, 151), "Prefect 3.8 breaks at import with it"),
    "sqlalchemy": ((2, 1), "Prefect's server was not tested with it"),
    "prefect": ((3, 9), "it was not tested"),
    "torch": ((2, 14), "it was not tested, and its bits may differ"),
    "mlflow": ((3, 18), "it was not tested"),
}
_LITTLE_SPACE = 2 * 2**30  # bytes
_SLOW_FLUSH = 0.1  # seconds
_READING = {"g": 0o050, "o": 0o005}  # as chmod calls them: the rights of the group and of others
_NAMES = {True: "WRONG", False: "ok"}
_MOUNTS = Path("/proc/self/mountinfo")  # Linux alone has it
# Types of file systems that other machines may see, too.
_SHARED = re.compile(r"nfs4?|cifs|smb3|lustre|ceph|gpfs|beegfs\w*|afs|9p|ocfs2|gfs2|fuse\.(sshfs|glusterfs|ceph\S*)")


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was seen, and what to do where that is wrong."""

    what: str
    seen: str
    remedy: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether there is something to do."""
        return bool(self.remedy)


def examine(home: Path) -> list[Finding]:
    """Everything, from what costs nothing to a worker that has to import torch."""
    return [
        _python(),
        *_packages(),
        *_extras(),
        _cores(),
        *_home(home),
        *_servers(home),
        _worker(home),
    ]


def printed(findings: list[Finding]) -> str:
    """A line each, and beneath what is wrong what to do."""
    width = max(len(finding.what) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{_NAMES[finding.is_wrong]:5}  {finding.what:{width}}  {finding.seen}")
        if finding.is_wrong:
            lines.append(f"{'':{width + 9}}-> {finding.remedy}")
    wrong = sum(finding.is_wrong for finding in findings)
    return "\n".join([*lines, f"{wrong} to be seen to" if wrong else "all is well"])


def _python() -> Finding:
    seen = f"{sys.version.split()[0]} at {sys.executable}"
    return Finding("Python", seen, "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer")


def _packages() -> Iterator[Finding]:
    for name in _NEEDED:
        if _version(name) is None:
            yield Finding(name, "is not installed", "pip install -c constraints.txt -e .")
    for name, (limit, how) in _BREAKS.items():
        found = _version(name)
        if found is None:
            continue
        numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
        remedy = f"{how}: pip install -c constraints.txt '{name}<{'.'.join(map(str, limit))}'"
        yield Finding(name, found, remedy if numbers >= limit else "")
    if _version("lightning") in ("2.6.2", "2.6.3"):
        yield Finding(
            "lightning", _version("lightning") or "", "a malicious release: remove it and change every password"
        )


def _extras() -> Iterator[Finding]:
    for what, (module, extra) in _EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        yield Finding(what, "can be used" if there else f"needs {install_command(extra)}")


def _cores() -> Finding:
    usable, all_cores = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    seen = (
        f"{usable} of {all_cores} can be used; runner=processes trainer.threads=1 trains {usable} trials side by side"
    )
    return Finding("cores", seen)


def _home(home: Path) -> Iterator[Finding]:
    try:
        home.mkdir(parents=True, exist_ok=True)
        seconds = _seconds_to_write(home)
    except (OSError, EspalierError) as error:
        yield Finding("ESPALIER_HOME", f"{home}: {error}", "point ESPALIER_HOME to a folder that can be written to")
        return
    yield Finding(
        "ESPALIER_HOME",
        f"{home}: an entry of the store is written, flushed and found in {seconds * 1000:.0f} ms",
        f"slower than {_SLOW_FLUSH * 1000:.0f} ms: a local disk would be faster" if seconds > _SLOW_FLUSH else "",
    )
    free = shutil.disk_usage(home).free
    yield Finding(
        "disk", f"{free / 2**30:.1f} GiB are free", "" if free > _LITTLE_SPACE else "free some, or see `espalier gc`"
    )
    yield Finding("locks", *_locking(home))
    yield from _closed_entries(home / "store")


def _seconds_to_write(home: Path) -> float:
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=home) as folder:
        store, started = Store(Path(folder)), time.monotonic()
        store.put("doctor", "0" * 32, {"well": True})
        assert store.find("doctor", "0" * 32) is not None
        return time.monotonic() - started


def _closed_entries(store: Path) -> Iterator[Finding]:
    """Entries that let in fewer than the folder they lie in does: older versions made each for its maker alone."""
    missing = [_missing_rights(entry) for entry in store.glob("*/??/*") if not entry.name.startswith(".")]
    closed = [rights for rights in missing if rights]
    if closed:
        who = "".join(letter for letter, rights in _READING.items() if any(rights & each for each in closed))
        yield Finding(
            "store",
            f"{len(closed):,} of {len(missing):,} entries cannot be read by all who can read their folders",
            f"whoever owns them: chmod -R {who}+rX {shlex.quote(str(store))}",
        )


def _missing_rights(entry: Path) -> int:
    """The rights to read that an entry does not grant, though the folder that it lies in does."""
    try:
        return entry.parent.stat().st_mode & ~entry.stat().st_mode & sum(_READING.values())
    except OSError:  # it was removed meanwhile, or its folder is closed as well
        return 0


def _locking(home: Path) -> tuple[str, str]:
    """Two studies of one name are kept apart by flock, which some network file systems only pretend to know."""
    import fcntl

    with tempfile.NamedTemporaryFile(prefix=".doctor-", dir=home) as file, open(file.name, "ab") as other:
        try:
            for one in (file, other):  # NFS locks only what can be written to
                fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            shared = _shared_file_system(home)
            asked = f"; {shared} may be mounted elsewhere, too: no other machine was asked" if shared else ""
            return f"hold on this machine{asked}", ""
        except OSError as error:
            return f"are not to be had: {error.strerror}", "no study can run here: use a file system that knows flock"
    return "do not hold", "never run a study twice at once here, or use a file system that knows flock"


def _shared_file_system(folder: Path) -> str | None:
    """The type of the file system of a folder, where other machines may see it under that type."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for mount in _MOUNTS.read_text().splitlines() if _MOUNTS.exists() else []:
        before, _, after = mount.partition(" - ")
        if before.split()[2] == number and _SHARED.fullmatch(after.split()[0]):
            return after.split()[0]
    return None


def _servers(home: Path) -> Iterator[Finding]:
    url = os.environ.get("PREFECT_API_URL")
    if url is None:
        yield Finding("Prefect", f"a server of the home's own, in {home / 'prefect'}, started where one is needed")
    else:
        remedy = "" if is_healthy_url(url) else "start it, or unset PREFECT_API_URL to have a local one"
        yield Finding("Prefect", f"PREFECT_API_URL={url} {'does not answer' if remedy else 'answers'}", remedy)
    proxy = next((os.environ[name] for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY") if name in os.environ), None)
    if proxy is not None:
        yield Finding("proxy", "is set; this machine itself is asked without it")


def _worker(home: Path) -> Finding:
    """A worker says what it computes with, as for a study."""
    wished = {"precision": "auto", "accelerator": "auto", "devices": 1, "strategy": "auto"}
    try:
        with WorkerPool(1, len(os.sched_getaffinity(0)), home / "logs", timeout_seconds=300) as pool:
            found = pool.call("modules.training.numerics.describe_numerics", wished)
    except (EspalierError, OSError) as error:
        return Finding("worker", str(error), "see its log")
    return Finding(
        "worker",
        f"torch {found['torch']} on {found['device']}, {found['precision']}, {found['cpu_capability']}, "
        f"{found['threads']} threads",
    )


def _version(name: str) -> str | None:
    with contextlib.suppress(PackageNotFoundError):
        return version(name).partition("+")[0]
    return None
