"""What must hold after any fault. Each promise is checked by counting, over the ledger and the database."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Callable

from orchestration.engine.decide import MAX_LOST
from orchestration.engine.fold import BrokenLog
from orchestration.engine.states import NODE_TERMINAL
from orchestration.models import Child, Delivery, Execution, NodeRun
from orchestration.store.children import REASON
from tests.cluster import LEASE, check_log
from tests.ledger import Entry

from .evidence import Evidence, Name, must, name_of
from .table import Count

EARLY = 0.05  # seconds by which two clocks that measure one moment may differ
_OUTCOMES = {
    *("node.completed", "node.failed", "node.retrying", "node.lost", "node.released", "node.cancelled"),
    *("node.waiting", "node.attention"),
}
_AGAIN = {"node.lost", "node.released"}  # the same attempt begins once more
_STARTS = {"workflow.run", "execution.fork"}
_WITHOUT_A_START = {"failed", "cancelled"}  # poison, or cancelled before its turn


def ends(evidence: Evidence, count: Count) -> None:
    """Every accepted start ends, as its workflow says; where a node is given up as poison, its log shows why."""
    found, poisoned = Execution.objects.in_bulk(list(evidence.expected)), _poisoned(evidence)
    for id, wanted in evidence.expected.items():
        status, error = (found[id].status, found[id].error) if id in found else ("missing", None)
        given_up = status == "failed" and id in poisoned
        why = {name: text for name, text in (error or {}).items() if name in ("node", "type", "message")}
        count.check(status == wanted or given_up, f"{id} is {status}, not {wanted}: {why}")


def _poisoned(evidence: Evidence) -> set[uuid.UUID]:
    """Return the executions of which a node, or who was to rescue one, is given up as poison; the log shows why."""
    losses, found = Counter[Name](), set[uuid.UUID]()
    for name, event in evidence.in_runs():
        losses[name] += event["type"] == "node.lost"
        error = event["data"].get("error", {}) if event["type"] == "node.failed" else {}
        if error.get("type") == "NodeLost" and losses[name] > MAX_LOST:
            found.add(name[0])
    return found


def nodes(evidence: Evidence, count: Count) -> None:
    """Each node ends as its workflow says: rescued, skipped by a condition or a join, failed, or cancelled."""
    poisoned = _poisoned(evidence)
    for run in evidence.runs.values():
        if run.superseded or run.execution_id in poisoned or run.execution.status != must(run).status:
            continue
        wanted = must(run).nodes.get(run.node, "succeeded")
        holds = run.status in ({wanted} if isinstance(wanted, str) else wanted)
        count.check(holds, f"{_name(run)} is {run.status}, not {wanted}")


def never_again(evidence: Evidence, count: Count) -> None:
    """A completed node never runs again, nor does any claim begin that is not the row's present one, or twice."""
    completed = _completed(evidence)
    for number, starts in evidence.starts().items():
        run = evidence.runs[number]
        begun = Counter(start.about["fence"] for start in starts)
        for start in starts:
            count.check(begun[start.about["fence"]] == 1, f"{_name(run)} began twice by one claim: {starts}")
            if _looked_late(evidence, start):
                continue
            mine = (
                start.about["seen"] == ["running", start.about["fence"]] and start.about["fence"] <= run.fence
            )
            count.check(mine, f"{_name(run)} began as {start.about}, and has fence {run.fence}")
        if run.status == "succeeded":
            times = completed[name_of(run)]
            count.check(times == 1, f"{_name(run)} was completed {times} times")


def _completed(evidence: Evidence) -> Counter[Name]:
    return Counter(name for name, event in evidence.in_runs() if event["type"] == "node.completed")


def _looked_late(evidence: Evidence, start: Entry) -> bool:
    """Say whether the body's look came too late to tell: its process was stopped, or the database away for a lease."""
    slept = any(start.pid == pid and start.about["began"] < at < start.tick for pid, at in evidence.woken)
    return slept or start.about["took"] >= LEASE


def attempts(evidence: Evidence, count: Count) -> None:
    """A body begins no more often than its log has outcomes of it: attempts, losses and hand-backs."""
    told = _outcomes(evidence)
    for number, starts in evidence.starts().items():
        run = evidence.runs[number]
        known = told[name_of(run)] + (run.status not in NODE_TERMINAL)
        count.check(len(starts) <= known, f"{_name(run)} began {len(starts)} times, its log knows of {known}")


def _outcomes(evidence: Evidence) -> Counter[Name]:
    told, rests = Counter[Name](), set[Name]()
    for name, event in evidence.in_runs():
        if event["type"] == "node.ready":
            rests.discard(name)
        # What a node that waits for its rescuer or for a person comes to in the end is no attempt's outcome.
        told[name] += event["type"] in _OUTCOMES and name not in rests
        if event["type"] in ("node.waiting", "node.attention"):
            rests.add(name)
    return told


def order(evidence: Evidence, count: Count) -> None:
    """No node begins before its join is met by what is committed, no rescuer before a failure: each body has looked."""
    for number, starts in evidence.starts().items():
        for start in starts:
            if _looked_late(evidence, start):
                continue
            serves = start.about["rescues"] in (None, "waiting") and start.about["undoes"] in (
                None,
                "succeeded",
            )
            holds = _is_met(start) and serves and start.about["outside"]
            count.check(holds, f"{_name(evidence.runs[number])} saw {start.about}")


def _is_met(start: Entry) -> bool:
    """Say whether the join is met by what the body saw; of an expression, whether every predecessor has ended."""
    seen, join = Counter(start.about["parents"].values()), start.about["join"]
    ok, failed = seen["succeeded"] + seen["recovered"], seen["failed"] + seen["upstream_failed"]
    done = not set(seen) - NODE_TERMINAL
    if isinstance(join, int):
        return ok >= join
    early = {"any_success": ok > 0, "one_failed": failed > 0, "one_done": ok + failed > 0}
    if join in early:
        return early[join]
    late = {"all_success": ok, "all_failed": failed, "none_failed": seen.total() - failed}
    return done and late.get(join, seen.total()) == seen.total()


def whole(evidence: Evidence, count: Count) -> None:
    """No log has a gap: its lines are numbered 1, 2, 3 … to the execution's last."""
    last = dict(Execution.objects.filter(pk__in=list(evidence.expected)).values_list("pk", "seq"))
    for id, log in evidence.logs.items():
        numbers = [event["seq"] for event in log]
        count.check(numbers == list(range(1, last.get(id, 0) + 1)) != [], f"the log of {id} is {numbers}")


def folds(evidence: Evidence, count: Count) -> None:
    """Folded, each log gives the rows."""
    for id in evidence.expected:
        try:
            check_log(id)
        except (AssertionError, BrokenLog) as error:
            count.check(False, f"the log of {id} does not give its rows: {error}")
        else:
            count.check(True, "")


def again(evidence: Evidence, count: Count) -> None:
    """What could run when a fault ended has begun in time, and not before it was due."""
    starts = evidence.starts("start", "asked")  # a condition that says no is all that runs of a node
    for one in evidence.runnable:
        # By its fence, not by the time: it may have begun, failed and waited again between the time and the row's read.
        later = (start.tick for start in starts.get(one.run, []) if start.about["fence"] > one.fence)
        first = min(later, default=None)
        horizon = one.until if first is None else min(first, one.until)
        if any(one.seen < at < horizon for at in evidence.faults):
            continue  # the next fault came first; what could run then is in its count
        if first is None and evidence.runs[one.run].status in _WITHOUT_A_START:
            continue
        late = f"{one.name}, after fault {one.fault}: " + (
            "never" if first is None else f"{first - one.due:+.2f} s"
        )
        count.check(first is not None and one.due - EARLY <= first <= one.until, late)


def timers(evidence: Evidence, count: Count) -> None:
    """A timer fires once and never early, by the database's clock; it waits for as long as the policy says."""
    runs = {name_of(run): run for run in evidence.runs.values()}
    starts, repeats = evidence.starts(), Counter[tuple[Name, int]]()
    for name, event in evidence.in_runs():
        parked = "waits" in event["data"]  # woken, the same attempt's body begins again
        repeats[name, event["attempt"] or 0] += event["type"] in _AGAIN or parked
    for name, event in evidence.in_runs():
        if event["type"] != "node.retrying":
            continue
        run, attempt, delay = runs[name], event["attempt"], event["data"]["delay"]
        wanted = round(must(run).delays[run.node][attempt - 1] * 1000)
        count.check(delay == wanted, f"{_name(run)} waits {delay} ms after attempt {attempt}, not {wanted}")
        due = _moment(event["at"]) + dt.timedelta(milliseconds=delay)
        fired = [start for start in starts[run.pk] if start.attempt == attempt + 1]
        most = 1 + repeats[name, attempt + 1]
        count.check(len(fired) <= most, f"attempt {attempt + 1} of {_name(run)} began {len(fired)} times")
        for start in fired:
            at = _moment(start.about["at"])
            count.check(at >= due, f"attempt {attempt + 1} of {_name(run)} began at {at}, due at {due}")
    _check_sleeps(evidence, count)
    for number, begins in starts.items():
        for start in (each for each in begins if each.about["due"] > each.about["ready"]):
            early = _moment(start.about["at"]) < _moment(start.about["due"])
            count.check(not early, f"{_name(evidence.runs[number])} began early: {start.about}")


def _check_sleeps(evidence: Evidence, count: Count) -> None:
    """Check that no sleep is over early, by the times in the log, which are the database's.

    A body that sleeps and waits for a signal at once parks again when the signal has come; its sleep began before.
    """
    due: dict[Name, dt.datetime] = {}
    for name, event in evidence.in_runs():
        at = _moment(event["at"])
        sleeps = [wait["timeout"] for wait in event["data"].get("waits", []) if wait["kind"] == "sleep"]
        if sleeps:
            due.setdefault(name, at + dt.timedelta(seconds=min(sleeps)))
        elif event["data"].get("reason") == "it has slept":
            until = due.pop(name, None)
            held = until is not None and at >= until - dt.timedelta(seconds=EARLY)
            count.check(held, f"{name} slept until {at}, not until {until}")


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def effects(evidence: Evidence, count: Count) -> None:
    """A node that completed has had its effect exactly once, however often its body paid; another, at most once."""
    taken = Counter((each["execution"], each["node"], each["for"]) for each in evidence.payments)
    for number, calls in evidence.starts("pay").items():
        run = evidence.runs[number]
        if calls:
            times = taken[str(run.execution_id), run.node, run.for_node]
            holds = times == 1 or (times == 0 and run.status != "succeeded")
            count.check(holds, f"{_name(run)} paid {len(calls)} times, {times} payments were taken")


def undone(evidence: Evidence, count: Count) -> None:
    """What succeeded in an execution that failed, or was cancelled with rollback, is undone once, the last begun first.

    One undo runs after the other. Nothing is undone in any other execution.
    """
    poisoned, starts, completed = _poisoned(evidence), evidence.starts(), _completed(evidence)
    last = [run for run in evidence.runs.values() if not run.superseded and must(run).undos]
    for id in {run.execution_id: None for run in last}:
        runs = [run for run in last if run.execution_id == id]
        due = [run.node for run in _due(runs)]
        undos = sorted((run for run in runs if run.node.startswith(UNDO) and starts[run.pk]),
                       key=lambda run: starts[run.pk][0].tick)  # fmt: skip
        begun = [run.node.removeprefix(UNDO) for run in undos]
        done = [run.node for run in undos if completed[name_of(run)] == 1 and run.status == "succeeded"]
        whole = done == [UNDO + node for node in due] or id in poisoned
        count.check(
            begun == due[: len(begun)] and whole, f"{id} should undo {due}, began {begun}, has done {done}"
        )
        _check_turns(evidence, count, undos, starts)


UNDO = "undo:"
NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


def _due(runs: list[NodeRun]) -> list[NodeRun]:
    """Return what is to be undone, in that order."""
    execution, wanted = runs[0].execution, must(runs[0])
    undoes = execution.status == "failed" or (execution.status == "cancelled" and wanted.rolls_back)
    done = [run for run in runs if run.node in wanted.undos and run.status == "succeeded"]
    return sorted(done, key=lambda run: (run.started_at or NEVER, run.pk), reverse=True) if undoes else []


def _check_turns(
    evidence: Evidence, count: Count, undos: list[NodeRun], starts: dict[int, list[Entry]]
) -> None:
    """Check that each undo began when all before it had ended and none after it had been released."""
    ended = evidence.starts("end")
    woken = {pid for pid, _ in evidence.woken}  # what slept in a body ends it whenever it wakes
    for place, run in enumerate(undos):
        before = {each.node for each in undos[:place]}
        ends_before = [end.tick for each in undos[:place] for end in ended[each.pk] if end.pid not in woken]
        for start in starts[run.pk]:
            seen = {name: status for name, status in start.about["undos"].items() if name != run.node}
            turns = all((status == "succeeded") == (name in before) for name, status in seen.items())
            alone = (
                set(seen.values()) <= {"succeeded", "pending"} and max(ends_before, default=0.0) <= start.tick
            )
            holds = (turns and alone) or _looked_late(evidence, start)
            count.check(holds, f"{_name(run)} began when the undos were {seen}, after {sorted(before)}")


_BRED = ["grow", "grow", "grow", "grow", "grow", "ChildFailed"]
_WAKES = 3  # once for the first child, once for the others, and once more for the next attempt


def children(evidence: Evidence, count: Count) -> None:
    """Each child is started once, and each call that waits is told once that its children have ended."""
    parents = Execution.objects.filter(pk__in=list(evidence.expected), workflow__name="f-breeding")
    for parent in parents.filter(status="succeeded"):
        rows = list(Child.objects.filter(parent=parent).values_list("key", "place", "replaced", "error"))
        present = sorted((key, place) for key, place, replaced, _ in rows if not replaced)
        wanted = [*(("children#1", place) for place in range(5)), ("f-born#1", 0)]
        # Workers that die again and again can make any child fail, as poison; then it is started anew too.
        poison = [row for row in rows if row[2] and (row[3] or {}).get("type") == "NodeLost"]
        again = [(key, place) for key, place, replaced, _ in rows if replaced]
        told = [e for e in evidence.logs[parent.pk] if e["data"].get("reason") == REASON]
        once = again == [("children#1", 4)] and len(told) == _WAKES
        more = len(again) <= 1 + len(poison) and _WAKES <= len(told) <= _WAKES + len(poison)
        holds = present == wanted and (once or (bool(poison) and more))
        count.check(
            holds and parent.output == _BRED, f"{parent.pk}: {rows}, woken {len(told)} times, {parent.output}"
        )
    left = Delivery.objects.filter(target__in=list(evidence.expected)).count()
    count.check(left == 0, f"{left} deliveries are left")


def audit(evidence: Evidence, count: Count) -> None:
    """Each start and each act by a person has exactly one audit record, of its own commit."""
    for id in evidence.expected:
        told, audited = evidence.told[id], evidence.audited[id]
        holds = (
            Counter(told) == Counter(audited) and told[0] in audited and told[0][0] in _STARTS
            if told
            else False
        )
        count.check(holds, f"the log of {id} tells of {told}, the audit of {audited}")


def workers(evidence: Evidence, count: Count) -> None:
    """Every cluster has as many workers as before."""
    for there, wanted in evidence.workers:
        count.check(there == wanted, f"{there} workers of {wanted} are there")


def _name(run: NodeRun) -> str:
    serves = f" for {run.for_node}" if run.for_node else ""
    return f"{run.node}{serves} of {run.execution_id} (generation {run.generation})"


PROMISES: dict[str, Callable[[Evidence, Count], None]] = {
    "ends": ends,
    "nodes": nodes,
    "once": never_again,
    "attempts": attempts,
    "order": order,
    "log": whole,
    "fold": folds,
    "again": again,
    "timers": timers,
    "effects": effects,
    "undone": undone,
    "children": children,
    "audit": audit,
    "workers": workers,
}
