"""The database file that MLflow keeps on this machine: made whole, written quickly, moved with its home."""

import contextlib
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from modules.tracking.quiet import quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient


def file_of(uri: str) -> Path | None:
    """The database file of a tracking URI; None for a server or another database."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def make_ready(path: Path) -> None:
    """The file is there afterwards, and can be read while it is written."""
    if not path.exists():
        _make(path)
    with closing(sqlite3.connect(path, timeout=20)) as database:
        database.execute("PRAGMA journal_mode=WAL")  # stays with the file


def _make(path: Path) -> None:
    """A new database, whole or not at all: MLflow cannot go on with one that it was stopped in the middle of making."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder, quiet():
        from mlflow import MlflowClient

        made = Path(folder) / path.name
        client = MlflowClient(tracking_uri=f"sqlite:///{made}")
        client.search_experiments(max_results=1)  # makes the tables
        dispose_engines(client)
        with contextlib.suppress(FileExistsError):  # another process was quicker
            os.link(made, path)


def commit_into_memory(client: "MlflowClient") -> None:
    """Have the log reach the disk when the system likes, and not at each of some ten commits that a trial takes.

    A killed program loses nothing by that; after a power cut `espalier sync` may have to write the last trials again.
    """
    from sqlalchemy import event

    engine = client._tracking_client.store.engine
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=NORMAL"))
    engine.dispose()  # connections that were made before


def follow_moved_artifacts(path: Path, artifacts: Path) -> None:
    """Where ESPALIER_HOME was moved or copied, point the database to the artifacts that moved with it.

    MLflow keeps absolute paths; without this, a copy would write into the original.
    """
    with closing(sqlite3.connect(path, timeout=20)) as database, database:
        rows = database.execute("SELECT experiment_id, name, artifact_location FROM experiments").fetchall()
        for number, name, location in rows:
            folder = quote(name, safe="")
            wanted = (artifacts / folder).as_uri()
            is_ours = str(location).endswith(f"/{artifacts.name}/{folder}") or name == "Default"
            if location == wanted or not is_ours:
                continue
            database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (wanted, number))
            database.execute(
                "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                (wanted, len(location) + 1, number, len(location), location),
            )


def dispose_engines(client: "MlflowClient") -> None:
    """Close the connections that MLflow's store keeps open; it opens new ones where it is used again."""
    dispose = getattr(client._tracking_client.store, "_dispose_engine", None)
    if dispose is not None:
        dispose()
