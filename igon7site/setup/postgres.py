"""A PostgreSQL server of one's own, for tests and benchmarks: made, used, removed."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from igon7site.setup.processes import dying_with_parent

_START_WITHIN = 60.0
_STOP_WITHIN = 10.0
# A test's data need not survive the machine: these make commits cheap and change nothing else.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class NoPostgres(Exception):
    """No PostgreSQL server binaries on this machine, or they did not start."""


def find_binaries() -> Path | None:
    """Return the folder that holds initdb and postgres: on PATH, where Debian puts it, or by pg_config."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda found: int(found.parts[4]))
    if debian:
        return debian[-1].parent
    pg_config = shutil.which("pg_config")
    if pg_config:
        told = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=True)
        if (Path(told.stdout.strip()) / "initdb").exists():
            return Path(told.stdout.strip())
    return None


class Server:
    """One PostgreSQL server on a unix socket in a folder of its own, to be stopped and started at will."""

    def __init__(self, binaries: Path, home: Path, **settings: Any) -> None:
        """Make its files; settings are postgresql.conf's. Raises NoPostgres."""
        self.home = home
        self._identity = _identity(home)
        chosen = {"listen_addresses": "", "unix_socket_directories": home, "max_connections": 200, **settings}
        options = [f"--{name}={value}" for name, value in chosen.items()]
        self._command = [str(binaries / "postgres"), "-D", str(home / "data"), *options]
        password = secrets.token_hex(16)
        _initdb(binaries, home, password, self._identity)
        self.url = f"postgres://igon7:{password}@/postgres?host={quote(str(home), safe='')}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return once it answers. Raises NoPostgres."""
        deadline = time.monotonic() + _START_WITHIN
        self._spawn()
        while not self._answers():
            if not self.is_running() or time.monotonic() > deadline:
                said = (self.home / "log").read_text(errors="replace").strip()[-500:]
                raise NoPostgres(f"the server did not start: {said}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True

    def _spawn(self) -> None:
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self.home, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=dying_with_parent(signal.SIGINT), **self._identity,
            )  # fmt: skip

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, mode: str = "fast") -> None:
        """Stop it: "fast" ends the sessions that are open, "immediate" crashes it, for the next start to recover."""
        if self._process is None:
            return
        self._process.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
        try:
            self._process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()


@contextmanager
def private_server(folder: Path | None = None, **settings: Any) -> Iterator[Server]:
    """Yield a new server that runs; settings are postgresql.conf's, and FAST holds those for tests.

    Its files go below the folder, else below /tmp. Raises NoPostgres. Leaving the block stops and removes it, and
    so does the kernel stop it when this process dies.
    """
    binaries = find_binaries()
    if binaries is None:
        raise NoPostgres("no server binaries found (initdb, postgres)")
    # Short: a socket's path may be 107 bytes long.
    home = Path(tempfile.mkdtemp(prefix="igon7-pg-", dir=folder or "/tmp"))
    try:
        server = Server(binaries, home, **settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def private_postgres(**settings: Any) -> Iterator[str]:
    """Yield the URL of a private server."""
    with private_server(**settings) as server:
        yield server.url


def _identity(home: Path) -> dict[str, Any]:
    """Return Popen's options for who the server is: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(home, entry.pw_uid, entry.pw_gid)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise NoPostgres("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _initdb(binaries: Path, home: Path, password: str, identity: dict[str, Any]) -> None:
    secret = home / "password"
    secret.write_text(password)
    if identity:
        os.chown(secret, identity["user"], identity["group"])
    done = subprocess.run(
        [binaries / "initdb", "--pgdata", home / "data", "--username=igon7", "--auth=scram-sha-256",
         f"--pwfile={secret}", "--encoding=UTF8", "--locale=C", "--no-sync"],
        cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **identity,
    )  # fmt: skip
    secret.unlink()
    if done.returncode:
        raise NoPostgres(f"initdb failed: {done.stdout.strip()[-500:]}")
