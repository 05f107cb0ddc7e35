"""What is asked of igon7 alone: large graphs, idle CPU, memory."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

from igon7site.setup.processes import kill_group, start
from orchestration import Workflow, executor
from orchestration.models import Event

from . import driving, proc, workflows
from .driving import Figures
from .igon7 import ME, READY_WITHIN, ROOT, Igon7

SMALL = 100  # nodes of the graph that a large one is compared with


# --- large graphs ----------------------------------------------------------------------------------


def large(one: Igon7, *, nodes: int, starts: int, repeats: int) -> Figures:
    """Measure the start of a graph that large, and what its nodes cost beside those of a graph of 100."""
    _node_ms(one, SMALL, 5)
    first, again = _starts(one, nodes, starts)
    return {
        "first_start_ms": first,
        "start_ms": statistics.median(again),
        "node_ms_small": _node_ms(one, SMALL, repeats),
        "node_ms_large": _node_ms(one, nodes, 1),
        "node_ms_small_at_once": _node_ms_at_once(one, SMALL, repeats),
        "rerun_ms_small": _rerun_ms(one, SMALL, starts),
        "rerun_ms_large": _rerun_ms(one, nodes, starts),
    }


def _starts(one: Igon7, nodes: int, starts: int) -> tuple[float, list[float]]:
    """Return what the start took that made the version, and what later ones take; nothing of them runs."""
    name = one.known(workflows.layered, nodes)
    found = []
    with driving.halted(one):
        for _ in range(starts + 1):
            before = time.perf_counter()
            id = executor.start(name, principal=ME)
            found.append((time.perf_counter() - before) * 1000)
            executor.cancel(id, principal=ME)
    return found[0], found[1:]


def _node_ms(one: Igon7, nodes: int, times: int) -> float:
    """Return the milliseconds a node of a graph that runs alone, from its first body to its last."""
    spans = []
    for _ in range(times):
        id = str(one.start(workflows.layered, nodes))
        driving.wait_until_ended(one)
        moments = driving.all_of(one, [id], nodes)
        spans.append(moments[-1] - moments[0])
    return statistics.fmean(spans) * 1000 / nodes


def _node_ms_at_once(one: Igon7, nodes: int, executions: int) -> float:
    """Return the same for many executions that run side by side, submitted before any of them runs."""
    name = one.known(workflows.layered, nodes)
    with driving.halted(one):
        ids = executor.start_many(name, [None] * executions, principal=ME)
    driving.wait_until_ended(one)
    moments = driving.all_of(one, [str(id) for id in ids], nodes * executions)
    return (moments[-1] - moments[0]) * 1000 / len(moments)


def _rerun_ms(one: Igon7, nodes: int, times: int) -> float:
    """Return the median milliseconds from a retry of a node in the last layer but one to its end: three nodes run."""
    id, found = one.start(workflows.layered, nodes), []
    driving.wait_until_ended(one)
    ran = len(one.moments([str(id)]))
    for number in range(1, times + 2):  # the first warms what a verb needs
        before = time.time()
        executor.retry(id, node=workflows.last_but_one(nodes), principal=ME)
        driving.wait_until_ended(one)
        moments = driving.all_of(one, [str(id)], ran + 3 * number)
        found.append((moments[-1] - before) * 1000)
    return statistics.median(found[1:])


# --- maps -----------------------------------------------------------------------------------------


def mapped(one: Igon7, *, items: int, width: int, times: int) -> Figures:
    """Measure the items a second of a map, and the nodes a second of fans beside it, from root's body to join's."""
    _across(one, workflows.mapped, items // 4)
    _across(one, workflows.fan, width)
    maps, fans = [], []
    for _ in range(times):
        fans.append(_across(one, workflows.fan, width))
        maps.append(_across(one, workflows.mapped, items))
    return {"items_s": statistics.median(maps), "fan_s": statistics.median(fans)}


def _across(one: Igon7, make: Callable[[int], Workflow], size: int) -> float:
    id = str(one.start(make, size))
    driving.wait_until_ended(one)
    root, join = driving.all_of(one, [id], 2)
    return size / (join - root)


# --- events ---------------------------------------------------------------------------------------


def event(one: Igon7, *, listeners: int, times: int, trials: int) -> Figures:
    """Measure an event that so many wait for: until all have been given it, and until the last body had it.

    And what it takes to accept one for which nobody waits.
    """
    _heard(one, listeners // 10)
    given, heard = zip(*(_heard(one, listeners) for _ in range(times)), strict=True)
    alone = [_emit("bench-unheard") for _ in range(trials)]
    return {
        "given_ms": statistics.median(given),
        "heard_ms": statistics.median(heard),
        "accepted_p50_ms": statistics.median(alone),
    }


def _heard(one: Igon7, listeners: int) -> tuple[float, float]:
    """Return the milliseconds from before an event is sent until all were given it, and until the last body ran on."""
    name, before = one.known(workflows.listening, 1), one.parked()
    ids = executor.start_many(name, [None] * listeners, principal=ME)
    while one.parked() < before + listeners:
        time.sleep(driving.LOOK_EVERY)
    began = time.time()
    took = _emit("bench")
    driving.wait_until_ended(one)
    return took, (driving.all_of(one, [str(id) for id in ids], listeners)[-1] - began) * 1000


def _emit(name: str) -> float:
    began = time.perf_counter()
    accepted = executor.emit_event(name, principal=ME)
    took = (time.perf_counter() - began) * 1000
    if Event.objects.filter(pk=accepted.id, delivered_at=None).exists():
        raise AssertionError("the event has not been given to everybody")
    return took


# --- children -------------------------------------------------------------------------------------


def family(one: Igon7, *, children: int, times: int) -> Figures:
    """Measure the children a second of one parent, and in turn as many executions that nobody's body starts.

    The former from the parent's start to its end, the latter from the first start to the last end.
    """
    _bred(one, children // 4)
    together, apart = [], []
    for _ in range(times):
        apart.append(_alone(one, children))
        together.append(_bred(one, children))
    return {"children_s": statistics.median(together), "alone_s": statistics.median(apart)}


def _bred(one: Igon7, children: int) -> float:
    began = time.time()
    id = str(one.start(workflows.family, children))
    after = driving.wait_until_ended(one)
    driving.all_of(one, [id], 1)
    return children / (after - began)


def _alone(one: Igon7, executions: int) -> float:
    began = time.time()
    ids = executor.start_many(workflows.CHILD, [None] * executions, principal=ME)
    after = driving.wait_until_ended(one)
    driving.all_of(one, [str(id) for id in ids], executions)
    return executions / (after - began)


# --- idle CPU --------------------------------------------------------------------------------------


def idle(one: Igon7, *, settle: float, seconds: float) -> Figures:
    """Measure the CPU seconds a minute of web server, cluster and database, while nothing is asked of them."""
    one.chain(1)
    driving.wait_until_ended(one)
    with _web(one) as web:
        parts = {"web": web, "cluster": one.cluster(), **_server()}
        time.sleep(settle)
        before = {name: proc.cpu_seconds([pid]) for name, pid in parts.items()}
        began = time.monotonic()
        time.sleep(seconds)
        minutes = (time.monotonic() - began) / 60
        used = {name: (proc.cpu_seconds([pid]) - before[name]) / minutes for name, pid in parts.items()}
    return {"cpu_s_min": sum(used.values()), **{f"{name}_s_min": value for name, value in used.items()}}


def _server() -> dict[str, int]:
    """Return the first process of the PostgreSQL that is used: the parent of this connection's."""
    if connection.vendor != "postgresql":
        return {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return {"postgresql": proc.parent(cursor.fetchone()[0])}


@contextmanager
def _web(one: Igon7) -> Iterator[int]:
    """Run a web server for the block, once it has answered; yield its pid."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "manage.py", "web", "--host=127.0.0.1", f"--port={port}"]
    with one.log.open("ab") as log:
        web = start(command, None, cwd=ROOT, stdout=log, stderr=log)
    try:
        _wait_for_answer(web, f"http://127.0.0.1:{port}/", one.log)
        yield web.pid
    finally:
        kill_group(web)


def _wait_for_answer(web: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while web.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # an answer, too
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"The web server did not answer:\n{log.read_text(errors='replace')}")


# --- memory ----------------------------------------------------------------------------------------


def memory(one: Igon7, *, early: int, late: int) -> Figures:
    """Measure the larger worker's share of memory after so many nodes, and after many more."""
    _run_nodes(one, early)
    first = _largest(one)
    _run_nodes(one, late - early)
    return {"pss_early_mib": first, "pss_late_mib": _largest(one)}


def _run_nodes(one: Igon7, nodes: int) -> None:
    """Run that many nodes, half of them in chains of three and half in fans of a hundred."""
    done = 0
    while done < nodes:
        one.many(170, together=True)
        for _ in range(5):
            one.fan(98)
        driving.wait_until_ended(one)
        done += 170 * driving.STEPS + 5 * 100


def _largest(one: Igon7) -> float:
    return max(proc.pss_mib(pid) for pid in one.workers())


# --- executions that wait --------------------------------------------------------------------------


def parked(one: Igon7, *, count: int, woken: int, seconds: float) -> Figures:
    """Measure what so many executions cost that wait for a signal, and how fast some of them go on among the rest."""
    _run_nodes(one, 2000)
    before, began = _largest(one), time.monotonic()
    ids = driving.parked(one, count, 900.0)
    took = time.monotonic() - began
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")  # else autovacuum comes at a time of its own, once
    time.sleep(10)
    grown, idling = _largest(one) - before, _idle(one, seconds)
    figures = {"parked_s": count / took, "grown_mib": grown, "cpu_s_min": idling}
    for name, some in (("together_s", ids[:woken]), ("single_s", ids[woken : 2 * woken])):
        began = time.monotonic()
        one.wake(some, name == "together_s")
        while one.any_open(some):
            time.sleep(driving.LOOK_EVERY)
        figures[name] = woken / (time.monotonic() - began)
    return figures


def _idle(one: Igon7, seconds: float) -> float:
    """Return the CPU seconds a minute of cluster and database."""
    pids = [one.cluster(), *_server().values()]
    before, began = proc.cpu_seconds(pids), time.monotonic()
    time.sleep(seconds)
    return (proc.cpu_seconds(pids) - before) * 60 / (time.monotonic() - began)


SCENARIOS: dict[str, driving.Scenario] = {
    "large": large,
    "map": mapped,
    "event": event,
    "family": family,
    "idle": idle,
    "memory": memory,
    "parked": parked,
}
