"""A real server process, people who are logged in, and sockets that keep what they were sent."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from orchestration.models import Execution
from orchestration.store.versions import forget_versions
from tests import factories


class Server:
    """uvicorn on a loopback port, which stays its own over restarts."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment, self._log = environment, log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "igon7site.asgi:application", "--port", str(self.port)],
                cwd=settings.BASE_DIR, env=self._environment, stdout=output, stderr=output,
            )  # fmt: skip
        eventually(self._answers, 30)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.said
        with socket.socket() as caller:
            return caller.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def said(self) -> str:
        return self._log.read_text()


class Watcher:
    """One socket and all that came over it; a frame comes with the moment of its arrival."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.frames: list[dict[str, Any]] = []
        self.arrivals: list[float] = []

    def read(self, until: Callable[[Watcher], bool], seconds: float = 10) -> Watcher:
        """Read frames until the condition holds."""
        deadline = time.monotonic() + seconds
        while not until(self):
            frame = json.loads(self.connection.recv(timeout=max(0.01, deadline - time.monotonic())))
            if "seq" in frame:
                self.frames.append(frame)
                self.arrivals.append(time.monotonic())
        return self

    def closed(self, seconds: float) -> tuple[int, str]:
        """Return the code and reason with which the server closes the socket."""
        deadline = time.monotonic() + seconds
        with pytest.raises(ConnectionClosed) as caught:
            self.read(lambda _: time.monotonic() > deadline, seconds)
        frame = caught.value.rcvd
        assert frame is not None
        return frame.code, frame.reason

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for frame in self.frames for event in frame["events"]]

    @property
    def messages(self) -> list[str]:
        return [line["message"] for frame in self.frames for line in frame["lines"]]

    @property
    def nodes(self) -> dict[str, str]:
        """Return the last known status of each node."""
        return {node["node"]: node["status"] for frame in self.frames for node in frame["nodes"]}


def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


class Elsewhere:
    """Run work in a thread with a connection of its own while the block runs; raise what it raised."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error
        finally:
            connections.close_all()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._error:
            raise self._error


@pytest.fixture
def server(child_environment: dict[str, str], tmp_path: Path) -> Iterator[Server]:
    running = Server(child_environment, tmp_path / "server.log")
    running.start()
    yield running
    running.kill()


@pytest.fixture
def alice(transactional_db: None) -> User:
    forget_versions()  # the rows of the test before are gone
    return factories.person("alice")


@pytest.fixture
def execution(alice: User) -> Execution:
    return factories.start_execution(factories.make_workflow(), alice)


def cookie(user: User) -> str:
    """Return the session id of a new login."""
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


@pytest.fixture
def watch(server: Server) -> Iterator[Callable[..., Watcher]]:
    """Open a socket: `watch(execution, session, after=…, line=…)`; all are closed at the end."""
    opened: list[Watcher] = []

    def open_one(execution: Execution | object, session: str = "", **query: object) -> Watcher:
        id = execution.pk if isinstance(execution, Execution) else execution
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        url = f"ws://127.0.0.1:{server.port}/ws/executions/{id}/?{asked}"
        headers = {"Cookie": f"sessionid={session}"} if session else {}
        origin = Origin(server.origin)
        opened.append(Watcher(connect(url, origin=origin, additional_headers=headers, legacy=True)))
        return opened[-1]

    yield open_one
    for watcher in opened:
        watcher.connection.close()
