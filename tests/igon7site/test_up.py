"""`manage.py up` as its user sees it: real processes, a real port, a database of its own."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from psycopg import sql

from tests.databases import url_of

pytestmark = pytest.mark.faults
_PASSWORD = re.compile(r"Administrator: admin   password: (\S+)")


class Up:
    """One `manage.py up`, and what it printed so far."""

    def __init__(self, environment: dict[str, str], port: int, log: Path, *arguments: str) -> None:
        self.port = port
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(port), "--workers", "1", *arguments],
                cwd=settings.BASE_DIR, env=environment, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, times: int = 1) -> str:
        wait_until(lambda: self.said.count(text) >= times or self.process.poll() is not None, 60)
        assert self.said.count(text) >= times, self.said
        return self.said

    def ended(self) -> int:
        """Return the exit code."""
        return self.process.wait(60)

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def get(self, path: str) -> http.client.HTTPResponse:
        return _request(self.port, "GET", path)


def _request(port: int, method: str, path: str, body: str = "", **headers: str) -> http.client.HTTPResponse:
    caller = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    caller.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = caller.getresponse()
    response.read()
    return response


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a machine on which igon7 never ran, on the kind of database under test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IGON7_")}
    own = {"IGON7_VAR": str(tmp_path / "var"), "IGON7_ENV_FILE": os.devnull, "IGON7_NO_VENV": "1"}
    if connection.vendor == "sqlite":
        yield {**kept, **own, "DATABASE_URL": "", "PYTHONUNBUFFERED": "1"}
        return
    name = f"igon7_up_{uuid.uuid4().hex}"
    server = url_of(connection.settings_dict | {"NAME": "postgres"})
    with psycopg.connect(server, autocommit=True) as maker:
        maker.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield {**kept, **own, "DATABASE_URL": url_of(connection.settings_dict | {"NAME": name})}
        maker.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def up(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Start `up`; what a failed test leaves running is killed."""
    started: list[Up] = []

    def start(*arguments: str, port: int = 0) -> Up:
        log = tmp_path / f"up-{len(started)}.log"
        started.append(Up(environment, port or _free_port(), log, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def _log_in(port: int, password: str) -> int:
    cookies = SimpleCookie(_request(port, "GET", "/login/").headers["Set-Cookie"])
    token = cookies["csrftoken"].value
    form = urlencode({"username": "admin", "password": password, "csrfmiddlewaretoken": token})
    kind = "application/x-www-form-urlencoded"
    return _request(port, "POST", "/login/", form, Content_Type=kind, Cookie=f"csrftoken={token}").status


@pytest.mark.alone
def test_up_serves_logs_in_and_stops_all_within_three_seconds_and_the_next_just_starts(up) -> None:
    first = up()
    said = first.wait_for("igon7 is up")
    assert f"http://127.0.0.1:{first.port}/" in said
    password = _PASSWORD.search(said)
    assert password is not None
    assert _log_in(first.port, password[1]) == 302
    assert _log_in(first.port, "wrong") == 200
    children = first.children()
    assert len(children) == 2

    asked = time.monotonic()
    first.process.send_signal(signal.SIGINT)
    assert first.ended() == 0
    assert time.monotonic() - asked < 3
    assert not [pid for pid in children if _is_alive(pid)]
    assert "Traceback" not in first.said

    second = up(port=first.port)
    said = second.wait_for("igon7 is up")
    assert "password" not in said
    assert "migrations applied" not in said
    second.process.send_signal(signal.SIGTERM)
    assert second.ended() == 0


@pytest.mark.sqlite
def test_a_second_up_on_the_same_file_is_refused_by_naming_the_first(up) -> None:
    first = up()
    first.wait_for("igon7 is up")
    second = up()
    assert second.ended() == 1
    assert f"already up on this database (process {first.process.pid})" in second.said
    assert first.get("/login/").status == 200


def test_a_taken_port_is_named_before_anything_is_made(up, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = up(port=port)
        assert refused.ended() == 1
    assert f"Port {port} is taken by another program. Choose another: --port {port + 1}" in refused.said
    assert "Administrator" not in refused.said


def test_children_end_with_an_up_that_is_killed(up) -> None:
    killed = up()
    killed.wait_for("igon7 is up")
    children = killed.children()
    killed.process.kill()
    killed.process.wait()
    wait_until(lambda: not any(map(_is_alive, children)), 10)
    assert not [pid for pid in children if _is_alive(pid)]


def test_a_web_server_that_is_killed_is_named_and_serves_again(up) -> None:
    running = up()
    running.wait_for("igon7 is up")
    web = next(
        pid for pid in running.children() if b"web" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    )
    os.kill(web, signal.SIGKILL)
    running.wait_for("The web server ended (killed by SIGKILL). It starts again in 0.5 s.")

    def serves() -> bool:
        try:
            return running.get("/login/").status == 200
        except OSError:
            return False

    wait_until(serves, 30)
    assert running.get("/login/").status == 200


@pytest.mark.sqlite
def test_a_database_that_cannot_be_reached_is_named_without_its_password(environment, tmp_path: Path) -> None:
    environment["DATABASE_URL"] = "postgres://ann:s3cret@127.0.0.1:1/igon7"
    refused = Up(environment, _free_port(), tmp_path / "log")
    assert refused.ended() == 1
    assert "PostgreSQL igon7 on 127.0.0.1" in refused.said
    assert "s3cret" not in refused.said
    assert "Traceback" not in refused.said
