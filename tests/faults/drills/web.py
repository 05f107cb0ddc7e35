"""The web server dies while starts come in. Clients send each again, under its key, until it is accepted."""

from __future__ import annotations

import time

from orchestration.models import Execution
from tests.cluster import wait_until
from tests.faults import workflows
from tests.faults.crew import Trial
from tests.faults.web import Clients, Starts, WebServer

from . import drill

_BY_NAME = {workflow.name: workflow for workflow in workflows.LOAD}


@drill("kill -9 of the web server while starts come in, and its restart", times=10, short=1, fed=False)
def kill_web(trial: Trial) -> None:
    server = WebServer(trial.crew)
    try:
        clients = Clients(server.port, trial.chance)
        try:
            _kill_and_restart(trial, server, clients)
        finally:
            clients.stop()
    finally:
        server.kill()
    _check(trial, clients.starts)
    trial.await_idle()  # clients do not wait for ends: what they leave behind must not pile up over the rounds


def _kill_and_restart(trial: Trial, server: WebServer, clients: Clients) -> None:
    _more_accepted(clients, 20)
    time.sleep(trial.chance.uniform(0, 0.2))
    server.kill()
    server.start()
    _more_accepted(clients, 10)
    trial.spring("started")  # committed, and nobody was told
    server.kill()
    server.start()
    _more_accepted(clients, 10)


def _more_accepted(clients: Clients, more: int) -> None:
    wanted = clients.starts.accepted() + more
    wait_until(lambda: clients.starts.accepted() >= wanted, 30.0, f"{more} more starts are accepted")


def _check(trial: Trial, starts: Starts) -> None:
    made: dict[str, list[str]] = {key: [] for key in starts.asked}
    for id, input in Execution.objects.values_list("pk", "input"):
        key = input.get("key") if isinstance(input, dict) else None
        if key in made:
            made[key].append(str(id))
            trial.expect(id, _BY_NAME[starts.asked[key]])
    trial.check(not starts.refused, f"starts were refused: {starts.refused[:3]}")
    for key, told in starts.told.items():
        trial.check(made[key] == [*{id for _, id in told}], f"{key} was answered {told}, and is {made[key]}")
        new = sum(code == 201 for code, _ in told)
        trial.check(new <= 1, f"{key} was answered {told}: it was new more than once")
    # The one that was committed as the server died: its client heard of it the second time.
    late = sum(told[0][0] == 200 for told in starts.told.values())
    trial.check(late >= 1, "no start was accepted unheard, and found again by its key")
