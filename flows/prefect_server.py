"""Prefect's API and UI on a listening socket that the watchdog has opened. Run by path, as a process of its own.

python -P flows/prefect_server.py DESCRIPTOR     serves (the environment says for which home)
python -P flows/prefect_server.py --schema       prints what belongs into prefect_database.sql
"""

import gc
import os
import signal
import socket
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

_SCHEMA = Path(__file__).with_name("prefect_database.sql")
_SCHEMA_HEAD = """\
-- The empty database of Prefect {version}, as its own migrations leave it: 9 seconds with them, 20 ms with this.
-- A later Prefect migrates it from the revision in "alembic_version". Made by `flows/prefect_server.py --schema`.
"""


def serve(descriptor: int) -> None:
    """Serve until a SIGTERM, or until standard input ends because the watchdog has died."""
    gc.disable()  # thousands of models are built while importing, all of them to stay
    threading.Thread(target=_end_with_watchdog, daemon=True).start()
    create_database(Path(os.environ["PREFECT_HOME"], "prefect.db"))
    listener = socket.socket(fileno=descriptor)
    os.environ["PREFECT_SERVER_UI_API_URL"] = f"http://127.0.0.1:{listener.getsockname()[1]}/api"  # for the browser
    import uvicorn
    from prefect.server.api.server import create_app

    config = uvicorn.Config(create_app(final=True), log_config=None, access_log=False, timeout_graceful_shutdown=2)
    gc.freeze()
    gc.enable()
    uvicorn.Server(config).run(sockets=[listener])


def create_database(path: Path) -> None:
    """Make an empty Prefect database, unless there is one."""
    if path.exists():
        return
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    connection = sqlite3.connect(unfinished)
    connection.executescript(_SCHEMA.read_text())
    connection.close()
    unfinished.rename(path)


def migrated_schema() -> Iterator[str]:
    """The statements that make the database which Prefect's own migrations make."""
    import asyncio

    import prefect
    from prefect.server.database import provide_database_interface
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, temporary_settings

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prefect.db")
        with temporary_settings({PREFECT_API_DATABASE_CONNECTION_URL: f"sqlite+aiosqlite:///{path}"}):
            asyncio.run(provide_database_interface().create_db())
        connection = sqlite3.connect(path)
        yield _SCHEMA_HEAD.format(version=prefect.__version__).rstrip()
        yield from connection.iterdump()
        connection.close()


def _end_with_watchdog() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    if sys.argv[1:] == ["--schema"]:
        print("\n".join(migrated_schema()))
    else:
        serve(int(sys.argv[1]))
