"""A web server that may die, and clients that start executions through it until each start is accepted."""

from __future__ import annotations

import http.client
import json
import random
import socket
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field

from django.contrib.auth import get_user_model
from rest_framework.authtoken.models import Token

from igon7site.setup import address
from igon7site.setup.processes import kill_group, start
from tests.cluster import ROOT, surroundings_of, wait_until

from . import traps, workflows
from .crew import Crew

CLIENTS = 4
REPEATED = 0.2  # the share of accepted starts that a client sends once more


class WebServer:
    """`manage.py web` on a port of its own, to be killed and started again there."""

    def __init__(self, crew: Crew) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._surroundings = surroundings_of(crew.folder, crew.ledger, **crew.about(), **{traps.WEB: "1"})
        self._log = crew.folder / "web.log"
        self.start()

    def start(self) -> None:
        """Start it, and return once it answers."""
        with self._log.open("ab") as log:
            command = [sys.executable, "manage.py", "web", f"--port={self.port}"]
            self.process = start(command, self._surroundings, cwd=ROOT, stdout=log, stderr=log)
        wait_until(
            lambda: self._answers(), 60.0, lambda: f"the web server answers\n{self._log.read_text()[-2000:]}"
        )

    def _answers(self) -> bool:
        return address.answers("127.0.0.1", self.port, "/login/", "localhost")

    def kill(self) -> None:
        """Kill it with all that it does."""
        kill_group(self.process)


@dataclass(slots=True)
class Starts:
    """What clients have asked for, by their keys, and what they were told: (status, id), in order."""

    asked: dict[str, str] = field(default_factory=dict)  # workflow
    told: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)  # there must be none
    broken: int = 0  # requests without an answer

    def accepted(self) -> int:
        return len(self.told)


class Clients:
    """Threads that start one execution after the other; each start is sent until it is accepted, under one key."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self.starts = Starts()
        self._port, self._token = port, _token()
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(chance.random()),), name=f"client {n}")
            for n in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begin no further start, and return when each that was begun is accepted."""
        self._done.set()
        for thread in self._threads:
            thread.join(60.0)
        assert not any(thread.is_alive() for thread in self._threads), "a start was never accepted"

    def _run(self, chance: random.Random) -> None:
        while not self._done.is_set():
            key = str(uuid.UUID(int=chance.getrandbits(128)))
            workflow = self.starts.asked[key] = chance.choice(_CHOSEN).name
            self._until_accepted(key, workflow)
            if chance.random() < REPEATED:
                self._until_accepted(key, workflow)
            time.sleep(chance.uniform(0.02, 0.1))

    def _until_accepted(self, key: str, workflow: str) -> None:
        while not self._send(key, workflow):
            time.sleep(0.05)

    def _send(self, key: str, workflow: str) -> bool:
        """Send the start once; say whether that settles it."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        about = {
            "Host": "localhost",
            "Authorization": f"Token {self._token}",
            "Content-Type": "application/json",
        }
        body = json.dumps({"workflow": workflow, "input": {"key": key}})
        try:
            connection.request("POST", "/api/v1/executions/", body, {**about, "Idempotency-Key": key})
            answer = connection.getresponse()
            said = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            self.starts.broken += 1
            return False
        finally:
            connection.close()
        if answer.status >= 500:
            return False
        if answer.status not in (200, 201):
            self.starts.refused.append(f"{answer.status} {said}")
            return True
        self.starts.told.setdefault(key, []).append((answer.status, said["id"]))
        return True


def _token() -> str:
    user, _ = get_user_model().objects.get_or_create(username="drills", is_superuser=True)
    token, _ = Token.objects.get_or_create(user=user)
    return str(token.key)


_CHOSEN = [each for each in workflows.LOAD if each is not workflows.mended]  # which a person has to retry
