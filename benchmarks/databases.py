"""A fresh database for each run: copies of what each contestant prepared once."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql

from igon7site.setup.postgres import find_binaries


class Databases:
    """Databases of one server, and SQLite files of one folder."""

    def __init__(self, server: str, folder: Path) -> None:
        self._server = server
        self._folder = folder

    def url(self, name: str) -> str:
        """Return the URL under which every contestant opens the database (psycopg, SQLAlchemy, Django)."""
        return urlsplit(self._server)._replace(scheme="postgresql", path=f"/{name}").geturl()

    def sqlite_url(self, name: str) -> str:
        return f"sqlite:///{quote(str(self._sqlite_path(name)))}"

    def create(self, name: str) -> str:
        """Create an empty database and return its URL."""
        self._do(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    @contextmanager
    def copy(self, of: str) -> Iterator[str]:
        """Yield the URL of a new copy of a database; remove it afterwards."""
        name = f"{of}_run"
        names = {"new": sql.Identifier(name), "of": sql.Identifier(of)}
        self._do(sql.SQL("CREATE DATABASE {new} TEMPLATE {of}").format(**names))
        try:
            yield self.url(name)
        finally:
            self._do(sql.SQL("DROP DATABASE {new} WITH (FORCE)").format(**names))

    @contextmanager
    def copy_sqlite(self, of: str) -> Iterator[str]:
        """Yield the URL of a new copy of an SQLite file; remove it afterwards."""
        name = f"{of}_run"
        shutil.copy(self._sqlite_path(of), self._sqlite_path(name))
        try:
            yield self.sqlite_url(name)
        finally:
            for left in self._folder.glob(f"{name}.sqlite3*"):
                left.unlink()

    def version(self) -> str:
        with psycopg.connect(self._server) as connection:
            return str(connection.info.parameter_status("server_version"))

    def _sqlite_path(self, name: str) -> Path:
        return self._folder / f"{name}.sqlite3"

    def _do(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(statement)


class Pgbench:
    """One client of `pgbench -N`: what a commit costs here and now."""

    def __init__(self, databases: Databases) -> None:
        folder = find_binaries()
        self._program = folder / "pgbench" if folder else Path("pgbench")
        self.here = self._program.exists()
        if self.here:
            self._url = databases.create("pgbench")
            self._run("--initialize", "--quiet")

    def commit_ms(self, seconds: int) -> float:
        """Run for so many seconds and return the milliseconds of one transaction."""
        said = self._run("--skip-some-updates", "--no-vacuum", "--client=1", f"--time={seconds}")
        found = re.search(r"latency average = ([\d.]+) ms", said)
        if not found:
            raise RuntimeError(f"pgbench did not say its latency:\n{said}")
        return float(found[1])

    def _run(self, *arguments: str) -> str:
        command = [str(self._program), *arguments, self._url]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
