"""An execution without a database: the whole View in memory, every step checked against the engine's laws."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import partial
from typing import Any

from orchestration.engine import redo, verbs
from orchestration.engine.attention import attend, check_ended
from orchestration.engine.compensation import compensate, go_on, is_due, undo_of, undone_by
from orchestration.engine.decide import MAX_LOST, Result, begin, decide, finish, overdue, wave
from orchestration.engine.errors import IllegalMove
from orchestration.engine.expressions import parse, truth
from orchestration.engine.fold import Folded, fold
from orchestration.engine.graph import Graph
from orchestration.engine.line import in_line
from orchestration.engine.parking import Wait, wake
from orchestration.engine.policies import AtLeast, Join
from orchestration.engine.recovery import key_of, owner, served
from orchestration.engine.states import EXECUTION_TERMINAL, Outcome, check_node_move
from orchestration.engine.states import ExecutionStatus as E
from orchestration.engine.states import NodeStatus as N
from orchestration.engine.view import Command, Emit, Key, Row, Start, View, apply, snapshot

ABOUT = {"by": "alice", "reason": "because"}
ERROR = {"type": "ValueError", "types": ["ValueError", "Exception"], "message": "no", "traceback": "…"}
OK, BAD = {N.SUCCEEDED, N.RECOVERED}, {N.FAILED, N.UPSTREAM_FAILED}
ENDED = OK | BAD | {N.SKIPPED}

# What each rule promises, said a second time and in other words than the engine's: may it run, given how the
# predecessors that have ended did, and whether any is still on its way?
MAY_RUN: dict[str, Callable[[int, int, int, int], bool]] = {
    "all_success": lambda ok, failed, skipped, left: not (failed or skipped or left),
    "all_done": lambda ok, failed, skipped, left: not left,
    "any_success": lambda ok, failed, skipped, left: ok > 0,
    "none_failed": lambda ok, failed, skipped, left: not (failed or left),
    "all_failed": lambda ok, failed, skipped, left: not (ok or skipped or left),
    "one_failed": lambda ok, failed, skipped, left: failed > 0,
    "one_done": lambda ok, failed, skipped, left: ok + failed > 0,
}
# What a node becomes whose rule can no more be met. These never fail because a predecessor did: they look for it.
SKIPS_ON_FAILURE = {"all_failed", "one_failed", "one_done"}


def may_run(join: Join, ok: int, failed: int, skipped: int, left: int) -> bool:
    if ok + failed + skipped + left == 0:
        return True
    return ok >= join.count if isinstance(join, AtLeast) else MAY_RUN[join](ok, failed, skipped, left)


def fate(join: Join, failed: int) -> N:
    """Return what becomes of a node that may not run though its predecessors have all ended."""
    return N.UPSTREAM_FAILED if failed and join not in SKIPS_ON_FAILURE else N.SKIPPED


def _runs(row: Row) -> bool:
    return row.status not in (N.PENDING, N.SUCCEEDED, N.FAILED)


def _outcome(row: Row) -> str:
    return "ok" if row.status in OK else "failed" if row.status in BAD else "skipped"


class Simulation:
    """One execution. Every method is one transaction; after each, `check` holds the state against the laws."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.view = graph, View()
        self.events: list[dict[str, Any]] = []
        self.folded = Folded()
        self.due: list[Key] = []
        self.extra: dict[str, int] = {}  # attempts that a person has added
        self.ended: dict[Key, tuple[N, str | None, int]] = {}
        self.started: dict[Key, int] = {}
        self.by_hand: set[str] = set()  # nodes that a person has skipped or given a result
        self.claimed: list[Key] = []  # in the order in which their bodies began
        self._run(
            self._twice(lambda: begin(graph, self.view, {"workflow": "w", "version": 1, "by": "alice"}))
        )
        self.check()

    # --- what happens to an execution --------------------------------------------------------------

    def claim(self, key: Key) -> None:
        row = self.view.rows[key]
        assert row in self.claimable()
        assert self._allowed(key), f"{key.node} was released before its predecessors allow it"
        check_node_move(row.status, N.RUNNING)
        row.status, row.attempt = N.RUNNING, row.attempt + 1
        self.claimed = [*(each for each in self.claimed if each != key), key]
        self.check()

    def heartbeat(self, key: Key) -> None:
        """Write down, before the outcome is known, that a body has begun."""
        row = self.view.rows[key]
        if not row.started:
            self._run([Start(key), Emit("node.started", key, row.attempt, {"worker": "w/1"})])
        self.check()

    def settle(self, key: Key, outcome: Outcome, *, waves: int = 500, **about: Any) -> None:
        """Settle a claimed row; `waves` bounds the rows without a body that are settled along."""
        if outcome in (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST, Outcome.BLOCKED):
            about.setdefault("error", ERROR)
        if outcome is Outcome.SUSPENDED:
            about.setdefault("waits", (Wait("go#1", "signal", "go"),))
        if outcome is Outcome.SUCCEEDED and self._is_map(key):
            outcome, about = Outcome.SPREAD, {"spread": len(key.node) * 7 % 5 + len(self.graph.nodes) % 2}
        result = Result(key, outcome, duration=1.5, queued=0.5, worker="w/1", **about)
        self._run(self._twice(lambda: decide(self.graph, self.view, result)))
        self._fail_fast()
        self.close(waves)

    def close(self, waves: int = 500) -> None:
        while self.due and waves:
            key = self.due.pop(0)
            self._run(self._twice(partial(wave, self.graph, self.view, key)))
            self._fail_fast()
            waves -= 1
        self._compensate()
        if not (
            is_due(self.graph, self.view) and self._to_undo()
        ):  # else it is paused, and undoes once resumed
            self._run(self._twice(lambda: finish(self.view, 12.5)))
        self.check()

    def _compensate(self) -> None:
        """Do as the store does: go on with the undos, or begin with them."""
        undos = [row for row in self.view.rows.values() if row.key.node in self.graph.undos]
        stands = self.view.left_undone or any(_runs(row) for row in undos)
        if self.view.status is E.COMPENSATING and not stands:
            last = [key for key in self.claimed if key.node in self.graph.undos][-1]
            self._run(self._twice(lambda: go_on(self.graph, self.view, last)))
        elif is_due(self.graph, self.view) and self.view.status is not E.PAUSED:
            order = self._to_undo()
            self._run(self._twice(lambda: compensate(self.graph, order)))

    def _to_undo(self) -> list[Key]:
        rows = self.view.rows
        done = {key for key, row in rows.items() if row.status is N.SUCCEEDED}
        stand = [
            key
            for key in done
            if not self._is_map(key)
            and self.graph.nodes[key.node].compensate
            and undo_of(self.graph, key) not in done
        ]
        return sorted(stand, key=self.claimed.index, reverse=True)

    def act(self, verb: str, **about: Any) -> None:
        """Do what a person does; raises IllegalMove where that is not possible."""
        verbs.check(verb, self.view.status, "0190")
        plain: dict[str, Callable[..., list[Command]]] = {
            "cancel": partial(verbs.cancel, rollback=about.get("rollback", False)),
            "terminate": verbs.terminate,
            "pause": verbs.pause,
            "resume": verbs.resume,
        }
        if verb == "retry":
            commands = self._twice(lambda: redo.retry(self.graph, self.view, ABOUT, "0190", **about))
            self._check_kept(about.get("node"), commands)
        else:
            commands = self._twice(lambda: plain[verb](self.view, ABOUT))
        self._run(commands)
        self.close()

    def attend(self, node: str, decision: str) -> None:
        """Do what a person decides about a node that needs attention."""
        result = '"by hand"' if decision == "supply" else None
        self.extra[node] = self.extra.get(node, 0) + (decision == "retry")
        self.by_hand |= {node} if decision in ("skip", "supply") else set()
        self._run(self._twice(lambda: attend(self.graph, self.view, node, decision, ABOUT, result, "0190")))
        self._fail_fast()
        self.close()

    def attend_again(self, node: str, decision: str) -> None:
        """Reopen an ended execution for a decision about a node; raises IllegalMove where that is not possible."""
        check_ended(self.graph, self.view, node, decision, "0190")
        graph = self.__dict__.pop("graph")  # which nothing changes, and nothing can copy
        before = {**deepcopy(self.__dict__), "graph": graph}
        self.graph = graph
        anew = decision in ("skip", "supply")
        self._run(redo.retry(self.graph, self.view, ABOUT, "0190", node, anew=anew))
        try:
            self.attend(node, decision)
        except IllegalMove:
            self.__dict__.update(before)
            raise

    def _fail_fast(self) -> None:
        if self.view.doomed and self.view.status not in (E.CANCELLING, E.COMPENSATING, *EXECUTION_TERMINAL):
            self._run(self._twice(lambda: verbs.fail_fast(self.view)))
            self.due = [key for key in self.due if self.view.rows[key].verdict]

    def wake(self, key: Key) -> None:
        """Bring a parked body what it waits for."""
        assert self.view.rows[key].parked
        self._run(self._twice(lambda: [*wake(self.view, key, "it came")]))
        self.close()

    def overdue(self, key: Key) -> None:
        """Let the time be over in which a node was to end."""
        self._run(self._twice(lambda: overdue(self.graph, self.view, key, ERROR)))
        self._fail_fast()
        self.close()

    def expire(self) -> None:
        self._run(self._twice(lambda: verbs.expire(self.view, 60.0)))
        self.close()

    def unblock(self, keys: list[Key]) -> None:
        self._run(self._twice(lambda: verbs.unblock(self.view, keys)))
        self.close()

    # --- what may happen next ----------------------------------------------------------------------

    def claimable(self) -> list[Row]:
        return [row for row in self.view.rows.values() if row.status is N.READY and not row.held]

    def having(self, status: N) -> list[Row]:
        return [row for row in self.view.rows.values() if row.status is status]

    def parked(self) -> list[Row]:
        return [row for row in self.view.rows.values() if row.parked]

    def status(self) -> E:
        return self.view.status

    def statuses(self) -> dict[str, str]:
        return {key.node: row.status.value for key, row in self.view.rows.items() if key.index < 0}

    def types(self, node: str | None = None) -> list[str]:
        return [event["type"] for event in self.events if node is None or event["node"] == node]

    def finish_fairly(self) -> None:
        """From here on every body succeeds, code is there, and nobody keeps the execution paused."""
        for _ in range(60 * len(self.graph.nodes) + 60):
            if self.view.status.is_terminal:
                return
            if self.view.status is E.PAUSED:
                self.act("resume")
            elif asked := self.having(N.ATTENTION):
                self.attend(asked[0].key.node, "supply")
            elif blocked := self.having(N.BLOCKED):
                self.unblock([row.key for row in blocked])
            elif parked := self.parked():
                self.wake(parked[0].key)
            elif running := self.having(N.RUNNING):
                self.settle(running[0].key, Outcome.SUCCEEDED, result='"fair"')
            elif ready := self.claimable():
                self.claim(ready[0].key)
            else:
                self.close()
        raise AssertionError(f"the execution does not end: {self.view}")

    # --- how it is done ----------------------------------------------------------------------------

    def _twice(self, decide: Callable[[], list[Command]]) -> list[Command]:
        """Ask twice: the same input gives the same commands, and asking changes nothing."""
        before = repr(self.view)
        commands, again = decide(), decide()
        assert commands == again
        assert repr(self.view) == before
        return commands

    def _run(self, commands: Iterable[Command]) -> None:
        """Carry the commands out as the store does, and note which rows the wave has to settle."""
        for command in commands:
            if isinstance(command, Emit):
                self._emit(command)
                continue
            apply(self.view, command)
            row = self.view.rows.get(getattr(command, "key", Key("")))
            if row is not None and row.verdict and row.key not in self.due:
                self.due.append(row.key)

    def _emit(self, event: Emit) -> None:
        key, seq = event.key, len(self.events) + 1
        self.events.append(
            {
                "seq": seq,
                "type": event.type,
                "at": f"2026-01-31T12:00:00.{seq:06}Z",
                "node": key.node if key else None,
                "index": key.index if key and key.index >= 0 else None,
                "attempt": event.attempt,
                "data": event.told(),
            }
        )
        if event.type == "node.reset" and key is not None:
            self.ended.pop(key, None)  # set aside: what takes its place begins anew
        if event.type == "execution.reopened":
            self.ended.clear()
            self.started.clear()

    # --- the laws ----------------------------------------------------------------------------------

    def check(self) -> None:
        self._check_log()
        self._check_counters()
        self._check_holds()
        for key, row in self.view.rows.items():
            self._check_row(key, row)
            if row.is_spread:
                self._check_items(key, row)
        self._check_bounds()
        self._check_nothing_is_forgotten()
        if self.view.status.is_terminal:
            self._check_end()

    def _check_log(self) -> None:
        self.folded = fold(self.events[self.folded.seq :], self.folded)
        said = {
            "status": self.folded.status,
            "generation": self.folded.generation,
            "nodes": self.folded.nodes,
        }
        assert said == snapshot(self.view)
        begun = {key: row.attempt for key, row in self.view.rows.items() if row.started}
        assert {key: self.folded.attempts[key] for key in begun} == begun

    def _check_counters(self) -> None:
        view, rows = self.view, list(self.view.rows.values())
        assert view.open == sum(not row.status.is_terminal for row in rows)
        assert view.blocked == sum(row.status is N.BLOCKED for row in rows)
        failed = [
            row
            for row in rows
            if row.status is N.FAILED
            and not self.graph.is_rescuer(row.key.node)
            and not self._is_item(row.key)
        ]
        assert view.failures == len(failed) + view.expired
        assert (view.error is not None) == bool(view.failures)

    def _check_holds(self) -> None:
        paused, blocked = self.view.status is E.PAUSED, self.view.blocked > 0
        for row in self.view.rows.values():
            assert row.held == (paused and row.status is N.READY) or in_line(row)
        if self.view.status in (E.RUNNING, E.BLOCKED):
            assert blocked == (self.view.status is E.BLOCKED)
        if self.view.status is E.CANCELLING:
            assert all(row.status is N.RUNNING or row.status.is_terminal for row in self.view.rows.values())

    def _check_row(self, key: Key, row: Row) -> None:
        policy = self.graph.nodes[key.node].retry
        assert 0 <= row.attempt <= (policy.max_attempts if policy else 1) + self.extra.get(key.node, 0)
        assert row.losses <= MAX_LOST + 1
        if row.status.is_terminal:
            now = (row.status, row.result, row.attempt)
            assert self.ended.setdefault(key, now) == now, "what has ended changes no more"
        if in_line(row):
            assert self._is_item(key) or self._may_run(key.node)
            return
        if row.status is N.WAITING and not row.parked and not row.is_spread:
            awaited = [
                r for k, r in self.view.rows.items() if k.for_node in (key.node, key.for_node) and k != key
            ]
            assert any(not r.status.is_terminal for r in awaited), "somebody is still to rescue it"
        if row.status is N.PENDING and key.node in self.graph.undos:
            assert self.view.status is E.COMPENSATING
        elif row.status is N.PENDING:
            ok, failed, skipped, left = self._predecessors(key.node)
            assert (row.ok, row.failed, row.skipped) == (ok, failed, skipped)
            assert ok + failed + skipped, "a row is born when its first predecessor ends"
            assert bool(row.verdict) == (not left)
            assert not self._may_run(key.node)

    def _is_map(self, key: Key) -> bool:
        return key.index < 0 and self.graph.nodes[key.node].items is not None

    def _is_item(self, key: Key) -> bool:
        return key.index >= 0 and self.graph.nodes[key.node].items is not None

    def _items(self, node: str) -> list[Row]:
        return [row for key, row in self.view.rows.items() if key.node == node and key.index >= 0]

    def _check_items(self, key: Key, row: Row) -> None:
        """A map that waits has counted its items, and has a row for each of the first that there are."""
        rows = self._items(key.node)
        assert [each.key.index for each in sorted(rows, key=lambda r: r.key)] == list(range(row.born))
        assert row.ok == sum(each.status in OK for each in rows)
        assert row.failed == sum(each.status is N.FAILED for each in rows)
        assert row.items is not None
        assert row.born <= row.items
        assert row.verdict or row.ok + row.failed < row.items, "the last one ends the map"

    def _check_bounds(self) -> None:
        """There are never more under way than a bound allows; and as many as that, where anybody stands in line."""
        for node, spec in self.graph.nodes.items():
            row = self.view.rows.get(Key(node))
            if spec.items is not None and row is not None and row.is_spread:
                more = row.born < (row.items or 0)
                self._check_bound(self._items(node), spec.items.concurrency, more=more and not row.verdict)
        for ids in self.graph.bounds.values():
            rows = [row for id in ids if (row := self.view.rows.get(Key(id))) is not None]
            bound = self.graph.nodes[ids[0]].bound
            self._check_bound(rows, bound.limit if bound else None)

    def _check_bound(self, rows: list[Row], limit: int | None, *, more: bool = False) -> None:
        under_way = sum(not row.status.is_terminal and row.status is not N.PENDING for row in rows)
        assert limit is None or under_way <= limit
        goes_on = self.view.status in (E.RUNNING, E.PAUSED, E.BLOCKED) and not self.view.doomed
        if goes_on and (more or any(in_line(row) for row in rows)):
            assert under_way == limit

    def _check_nothing_is_forgotten(self) -> None:
        """Every node whose predecessors have begun to end has a row, while the execution may go on."""
        if self.view.status in (E.RUNNING, E.PAUSED, E.BLOCKED):
            for node, spec in self.graph.nodes.items():
                parents = [self.view.rows.get(Key(parent)) for parent in spec.depends_on]
                if self.graph.is_companion(node):
                    continue
                if not spec.depends_on or any(row and row.status in ENDED for row in parents):
                    assert Key(node) in self.view.rows

    def _check_end(self) -> None:
        view = self.view
        assert not view.open
        if view.status in (E.FAILED, E.CANCELLED):
            self._check_undone()
        if view.status in (E.CANCELLED, E.TERMINATED) or view.doomed or view.rollback:
            assert not view.doomed or view.status in (E.FAILED, E.TERMINATED)
            return
        assert view.status is (E.FAILED if view.failures else E.SUCCEEDED)
        named = {key.node for key in view.rows}
        assert named >= {id for id in self.graph.nodes if not self.graph.is_companion(id)}
        for fallback, primary in self.graph.primaries.items():
            # What failed while the execution was being cancelled has had nobody to rescue it.
            whom = view.rows.get(key_of(self.graph, primary))
            assert fallback in named or whom is None or whom.status is N.FAILED
        for key, row in view.rows.items():
            if key.node in self.graph.undos or key.node in self.by_hand or key.index >= 0:
                continue
            if row.items and row.status is N.SUCCEEDED:
                ends = [each.status for each in self._items(key.node)]
                assert set(ends) <= {N.SUCCEEDED, N.FAILED}
                assert len(ends) == row.items
                over = self.graph.nodes[key.node].items
                assert over is not None
                assert ends.count(N.FAILED) <= over.tolerated(row.items)
            if self.graph.is_rescuer(key.node):
                self._check_rescuer(key, row)
                continue
            _ok, failed, _skipped, left = self._predecessors(key.node)
            assert not left
            may = self._may_run(key.node)
            expected = None if may else fate(self.graph.nodes[key.node].join, failed)
            spec = self.graph.nodes[key.node]
            may_skip = spec.when or spec.on_exhausted == "pause"
            ran = (N.SUCCEEDED, N.FAILED, N.RECOVERED, *((N.SKIPPED,) if may_skip else ()))
            assert row.status is expected if expected else row.status in ran
            if row.status is N.RECOVERED:
                assert self._rescuers(key) or row.result == '"by hand"', "somebody has rescued it"

    def _check_undone(self) -> None:
        """What succeeded has been undone, the last begun first; or an undo failed, and it says what is left."""
        if not (self.view.rollback or self.view.status is E.FAILED):
            return
        ran = {key for key, row in self.view.rows.items() if row.status in (N.SUCCEEDED, N.FAILED)}
        undone = [key for key in self.claimed if key in ran and key.node in self.graph.undos]
        whom = [undone_by(self.graph, key) for key in undone]
        assert whom == sorted(whom, key=self.claimed.index, reverse=True)
        failed = [key for key in undone if self.view.rows[key].status is N.FAILED]
        left = {key.node for key in self._to_undo()}
        assert bool(left) == bool(failed) == self.view.left_undone
        if left:
            assert undone[-1:] == failed, "nothing is undone past a failed undo"
            assert self.view.status is E.FAILED
            assert self.view.error is not None
            assert set(self.view.error["undone"]) == left

    def _check_rescuer(self, key: Key, row: Row) -> None:
        """A rescuer ran for a node that had failed, and its success is that node's; else it was not needed."""
        whom = self.view.rows[key_of(self.graph, key.for_node)]
        if row.status in OK:
            assert whom.status is N.RECOVERED
            assert whom.result == row.result
        elif row.status is N.SKIPPED:
            assert whom.status not in (N.FAILED, N.WAITING)
        else:
            assert row.status is N.FAILED

    def _rescuers(self, key: Key) -> list[Row]:
        return [
            row for other, row in self.view.rows.items() if other.for_node == key.node and row.status in OK
        ]

    def _check_kept(self, node: str | None, commands: list[Command]) -> None:
        """A retry sets aside what it names, what was cancelled, and what follows from them: nothing else."""
        again = {N.CANCELLED} if node else {N.CANCELLED, N.FAILED}
        ended = {
            key: row.status
            for key, row in self.view.rows.items()
            if key.index < 0 and not self.graph.is_companion(key.node)
        }
        reset = {c.key for c in commands if isinstance(c, Emit) and c.type == "node.reset" and c.key}
        undos = {key for key in self.view.rows if key.node in self.graph.undos}
        if node in self.graph.undos:
            assert reset == {key for key in undos if self.view.rows[key].status in (N.FAILED, N.CANCELLED)}
            return
        begun = {key for key in undos if self.view.rows[key].status is not N.CANCELLED}
        redone = {key.node for key, status in ended.items() if status in again} | ({node} - {None})
        redone |= {owner(self.graph, key) for key in begun}
        for name in self._in_order():
            if redone & set(self.graph.nodes[name].depends_on):
                redone.add(name)
        expected = {key for key in self.view.rows if owner(self.graph, key) in redone} | undos
        kept = expected - reset
        assert reset <= expected
        assert all(self._is_item(key) and self.view.rows[key].status is N.SUCCEEDED for key in kept)
        assert not {undo_of(self.graph, key) for key in kept if self.graph.nodes[key.node].compensate} & begun
        for name in {
            key.node for key in kept
        }:  # what it goes over is as it was, and something of it runs again
            assert not redone & set(self.graph.nodes[name].depends_on)
            row = self.view.rows[Key(name)]
            assert row.born < (row.items or 0) or any(key.node == name and key.index >= 0 for key in reset)

    def _in_order(self) -> list[str]:
        placed: list[str] = []
        while len(placed) < len(self.graph.nodes):
            placed += [
                n for n, s in self.graph.nodes.items() if n not in placed and set(s.depends_on) <= set(placed)
            ]
        return placed

    def _predecessors(self, node: str) -> tuple[int, int, int, int]:
        found = [self.view.rows.get(Key(parent)) for parent in self.graph.nodes[node].depends_on]
        ended = [row.status for row in found if row is not None and row.status in ENDED]
        ok, failed = sum(s in OK for s in ended), sum(s in BAD for s in ended)
        return ok, failed, len(ended) - ok - failed, len(found) - len(ended)

    def _allowed(self, key: Key) -> bool:
        if key.node in self.graph.undos:
            return self.view.status is E.COMPENSATING
        if self.graph.is_rescuer(key.node):
            whom = served(self.graph, self.view, key)
            return whom is not None and self.view.rows[whom].status is N.WAITING
        if key.index >= 0:
            return self.view.rows[Key(key.node)].is_spread
        return self._may_run(key.node)

    def _may_run(self, node: str) -> bool:
        spec = self.graph.nodes[node]
        if spec.join in MAY_RUN or isinstance(spec.join, AtLeast):
            return may_run(spec.join, *self._predecessors(node))
        rows = {parent: self.view.rows.get(Key(parent)) for parent in spec.depends_on}
        ended = {name: _outcome(row) for name, row in rows.items() if row and row.status in ENDED}
        return not rows or truth(parse(spec.join), ended) is True
