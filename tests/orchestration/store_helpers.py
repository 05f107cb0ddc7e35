"""A worker's hands without its bodies, for tests of the store."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.db import connection, connections

from orchestration import models
from orchestration.engine.decide import Result
from orchestration.engine.fold import Folded, fold
from orchestration.engine.states import NodeStatus, Outcome
from orchestration.engine.view import Key, folded_status
from orchestration.queries import events_after
from orchestration.store import versions
from orchestration.store.claim import Claim, claim
from orchestration.store.locked import Claimer
from orchestration.store.outcomes import Settled
from orchestration.store.settle import Report, settle, settle_waves
from orchestration.store.start import Order, start
from tests.factories import make_workflow

ABOUT = {"by": "tester", "reason": "because"}
WHO = {"kind": "system", "id": "test", "name": "test"}


def order(**options: Any) -> Order:
    return Order(options.pop("input", "{}"), WHO, "test", **options)


def begin(edges: Mapping[str, Sequence[str]], name: str = "w", **options: Any) -> uuid.UUID:
    """Start an execution of a workflow with these edges; options are make_workflow's."""
    return start(versions.version_of(make_workflow(name, edges, **options)), [order()])[0].id


def seat(lane: str = "sync", lease: float = 30.0) -> Claimer:
    return Claimer(uuid.uuid4(), 4711, ("default",), lane, lease)


def done(claims: Iterable[Claim], outcome: Outcome = Outcome.SUCCEEDED, **about: Any) -> list[Settled]:
    if outcome is Outcome.SUCCEEDED:
        about.setdefault("result", '"ok"')
    elif outcome in (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST):
        about.setdefault("error", {"type": "ValueError", "types": ["ValueError"], "message": "no"})
    return [Settled(one, Result(one.key, outcome, duration=1.0, **about)) for one in claims]


def run_to_end(claimer: Claimer | None = None, batch: int = 8) -> int:
    """Claim and settle until nothing is claimable; return how many bodies would have run."""
    claimer, count = claimer or seat(), 0
    while claims := claim(claimer, batch):
        while claims:
            count += len(claims)
            report = settle(done(claims), claimer, take=batch, keep=True)
            assert not report.left
            for id in report.unfinished:
                settle_waves(id)
            claims = report.claimed
    return count


def settle_whole(outcomes: list[Settled]) -> Report:
    report = settle(outcomes)
    for id in report.unfinished:
        settle_waves(id)
    return report


def status(id: uuid.UUID) -> str:
    return models.Execution.objects.values_list("status", flat=True).get(pk=id)


def nodes(id: uuid.UUID) -> dict[str, str]:
    rows = models.NodeRun.objects.filter(execution=id, superseded=False)
    return dict(rows.values_list("node", "status"))


def check_log(id: uuid.UUID) -> Folded:
    """Assert that the log has no gap and folds to the rows; return what it folds to."""
    execution = models.Execution.objects.get(pk=id)
    folded = fold(events_after(id, 0, 100_000))
    assert folded.seq == execution.seq
    assert (folded.status, folded.generation) == (execution.status, execution.generation)
    rows = models.NodeRun.objects.filter(execution=id, superseded=False)
    kept = {
        Key(row.node, row.index, row.for_node): folded_status(
            NodeStatus(row.status), row.started_at is not None
        )
        for row in rows
    }
    assert folded.nodes == {key: state for key, state in kept.items() if state is not NodeStatus.PENDING}
    live = [row for row in rows if not NodeStatus(row.status).is_terminal]
    assert execution.open_nodes == len(live)
    return folded


def together(*functions: Callable[[], Any]) -> list[Any]:
    """Run the functions at once, each in a thread with a connection of its own; return results or exceptions."""
    gate = threading.Barrier(len(functions))
    results: list[Any] = [None] * len(functions)

    def run(place: int, function: Callable[[], Any]) -> None:
        try:
            connections[connection.alias].ensure_connection()
            gate.wait(10)
            results[place] = function()
        except Exception as error:
            results[place] = error
        finally:
            connections[connection.alias].close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs: a deadlock?"
    return results
