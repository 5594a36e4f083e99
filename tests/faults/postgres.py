"""A PostgreSQL of its own, from Debian's packages."""

import os
import socket
import subprocess
from pathlib import Path

INITDB = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)


class Postgres:
    """A server of its own in a folder, as the user that it wants to be."""

    def __init__(self, folder: Path) -> None:
        assert INITDB is not None
        self.folder = folder
        self.bin = INITDB.parent
        self.user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self._run("initdb", "--pgdata", str(folder / "data"), "--username", "espalier", "--auth", "trust")

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        self._run(
            "pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log"), "-o", options, "start"
        )

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*self.user, str(self.bin / program), *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/"
        )

    @property
    def uri(self) -> str:
        return f"postgresql+psycopg2://espalier@127.0.0.1:{self.port}/postgres"

    def say(self, commands: str, database: str = "postgres") -> None:
        """What psql is told; `\\connect` and the like are understood."""
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "espalier", "-d", database, "-v", "ON_ERROR_STOP=1"]
        psql = [str(self.bin / "psql"), "--quiet", *options]
        subprocess.run(psql, input=commands, text=True, check=True, stdout=subprocess.DEVNULL)

    def count(self, query: str, database: str = "postgres") -> int:
        import psycopg2

        with psycopg2.connect(f"postgresql://espalier@127.0.0.1:{self.port}/{database}") as connection:
            cursor = connection.cursor()
            cursor.execute(query)
            return int(cursor.fetchone()[0])
