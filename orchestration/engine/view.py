"""What `decide` sees and what its commands do to it.

A View holds the execution's few counters and the rows that an outcome touches; never the whole execution.
`decide` returns Commands; `apply` carries one out on the View. The store loads a View under the execution's row
lock, decides, applies, and writes the rows that changed; tests keep a View that holds everything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .states import ExecutionStatus, NodeStatus, check_execution_move, check_node_move


class Key(NamedTuple):
    """Which NodeRun: a node, a map's item (-1: none), and whom a fallback or handler serves ("": nobody)."""

    node: str
    index: int = -1  # type: ignore[assignment]  # tuple.index is shadowed on purpose
    for_node: str = ""

    def __str__(self) -> str:
        return f"{self.node}[{self.index}]" if self.index >= 0 else self.node


@dataclass(slots=True)
class Row:
    """A NodeRun as `decide` sees it. `attempt` counts begun tries, the present one included."""

    key: Key
    status: NodeStatus = NodeStatus.PENDING
    attempt: int = 0
    losses: int = 0
    started: bool = False
    held: bool = False
    verdict: str = ""
    ok: int = 0
    failed: int = 0
    skipped: int = 0
    items: int | None = None  # of a map whose items have been found: how many there are
    born: int = 0  # and how many of them have a row; `ok` and `failed` count theirs
    delay: float = 0.0
    result: str | None = None
    error: dict[str, Any] | None = None

    @property
    def parked(self) -> bool:
        """Say whether its body waits; a row that waits to be rescued has an error, a map's own waits for its items."""
        return self.status is NodeStatus.WAITING and self.error is None and self.items is None

    @property
    def is_spread(self) -> bool:
        """Say whether it is a map's, and waits for its items."""
        return self.status is NodeStatus.WAITING and self.error is None and self.items is not None


@dataclass(slots=True)
class View:
    """An execution as `decide` sees it; `open` counts its non-terminal rows, `blocked` the BLOCKED among them."""

    status: ExecutionStatus = ExecutionStatus.RUNNING
    generation: int = 1
    open: int = 0
    failures: int = 0
    blocked: int = 0
    expired: bool = False
    doomed: bool = False  # it ends as FAILED, though what is left of it is cancelled
    rollback: bool = False  # it is cancelled, and what succeeded is to be undone
    left_undone: bool = False  # an undo has failed, and with it the execution
    error: dict[str, Any] | None = None
    rows: dict[Key, Row] = field(default_factory=dict)

    def row(self, key: Key) -> Row:
        return self.rows[key]


# --- commands --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Emit:
    """Append an event to the log. `data` is JSON; durations in it are ms."""

    type: str
    key: Key | None = None
    attempt: int | None = None
    data: dict[str, Any] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return the data as the log keeps it: with whom the row serves, which is a part of its key."""
        return {**self.data, "for": self.key.for_node} if self.key and self.key.for_node else self.data


@dataclass(frozen=True, slots=True)
class Start:
    """Note that the present attempt has begun."""

    key: Key


@dataclass(frozen=True, slots=True)
class End:
    """Move a row to a terminal status; `result` is JSON text."""

    key: Key
    status: NodeStatus
    result: str | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Await:
    """Keep a row that has failed for good, with its error, until somebody who may rescue it has ended.

    That is a fallback or a boundary, or, with status ATTENTION, a person.
    """

    key: Key
    error: dict[str, Any]
    status: NodeStatus = NodeStatus.WAITING


@dataclass(frozen=True, slots=True)
class Park:
    """Let a row wait for what its body asked for; no worker has it meanwhile."""

    key: Key


@dataclass(frozen=True, slots=True)
class Spread:
    """Let a map's row wait for its items: how many there are, and what is known of those that have been before."""

    key: Key
    items: int
    born: int = 0
    ok: int = 0
    failed: int = 0
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Bear:
    """Note that so many of a map's items have a row."""

    key: Key
    born: int


@dataclass(frozen=True, slots=True)
class Queue:
    """Let a PENDING row whose join says run stand in line until its turn comes."""

    key: Key


@dataclass(frozen=True, slots=True)
class Requeue:
    """Make a row READY again in `delay` seconds. `refund` gives the attempt back, `loss` counts a loss."""

    key: Key
    delay: float = 0.0
    refund: bool = False
    loss: bool = False
    error: dict[str, Any] | None = None
    anew: bool = False  # a person has asked for it: its deadline begins anew
    woken: bool = False  # it was parked, and its attempt goes on: it began when it began

    @property
    def keeps_its_place(self) -> bool:
        """Say whether it stands in the queue where it stood: it was lost or handed back, by no fault of its own."""
        return self.refund and not self.woken


@dataclass(frozen=True, slots=True)
class Block:
    """Park a row whose code is not here, with the sentence that says so."""

    key: Key
    error: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Birth:
    """Insert the row of a node none of whose predecessors had ended until now."""

    key: Key


@dataclass(frozen=True, slots=True)
class Count:
    """Add to a PENDING row's counts of ended predecessors."""

    key: Key
    ok: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Release:
    """The join says run: make the row READY (held back while the execution is paused)."""

    key: Key
    held: bool = False


@dataclass(frozen=True, slots=True)
class Judge:
    """The join says skip or fail, or more is left to do for a map ("": nothing): the row is settled next, in the
    wave.
    """

    key: Key
    verdict: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Hold a READY row back, or let it go. (A PENDING row that is held stands in line: see `line`.)"""

    key: Key
    held: bool


@dataclass(frozen=True, slots=True)
class Move:
    """Move the execution; with `verb`, out of a terminal status too; `rollback` says how it is cancelled."""

    status: ExecutionStatus
    verb: bool = False
    rollback: bool = False


@dataclass(frozen=True, slots=True)
class Blame:
    """Count a final failure; the first one's error becomes the execution's. `expired`: its own time ran out."""

    error: dict[str, Any]
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Doom:
    """Let nothing more begin: what is left is cancelled next, and the execution has failed."""


@dataclass(frozen=True, slots=True)
class Leave:
    """An undo has failed, and these nodes (the first of `count`) are left as they are: the execution has failed."""

    nodes: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Supersede:
    """Set a row aside: a later generation takes its place."""

    key: Key


@dataclass(frozen=True, slots=True)
class Reopen:
    """Raise the generation; failures that nobody retries stay. Only a person's verb does it.

    `stands`: the reason for which it was ending (its time was over, it was cancelled) still holds.
    """

    generation: int
    failures: int = 0
    error: dict[str, Any] | None = None
    stands: bool = False


Command = (
    Emit
    | Start
    | End
    | Await
    | Park
    | Spread
    | Bear
    | Queue
    | Requeue
    | Block
    | Birth
    | Count
    | Release
    | Judge
    | Hold
    | Move
    | Blame
    | Doom
    | Leave
    | Supersede
    | Reopen
)


# --- what commands do ------------------------------------------------------------------------------


def apply(view: View, command: Command) -> None:
    """Carry one command out on the view (Emit changes nothing there).

    Raises IllegalTransition for a move that the tables do not have.
    """
    match command:
        case Start(key):
            view.rows[key].started = True
        case End(key, status, result, error):
            _end(view, view.rows[key], status, result, error)
        case Requeue():
            _requeue(view.rows[command.key], command)
        case Await() | Block() | Park():
            _park(view, view.rows[command.key], command)
        case Birth(key):
            view.rows[key] = Row(key)
            view.open += 1
        case Count(key, ok, failed, skipped):
            row = view.rows[key]
            row.ok, row.failed, row.skipped = row.ok + ok, row.failed + failed, row.skipped + skipped
        case Release(key, held):
            row = view.rows[key]
            view.blocked -= row.status == NodeStatus.BLOCKED
            _move(row, NodeStatus.READY)
            row.held, row.error = held, None
        case Judge() | Hold() | Queue() | Spread() | Bear():
            _mark(view.rows[command.key], command)
        case _:
            _apply_to_execution(view, command)


def _apply_to_execution(view: View, command: Command) -> None:
    match command:
        case Move(status, verb, rollback):
            check_execution_move(view.status, status, verb=verb)
            view.status, view.rollback = status, view.rollback or rollback
        case Blame(error, expired):
            view.failures += 1
            view.expired |= expired
            view.doomed |= expired
            view.error = view.error or error
        case Doom():
            view.doomed = True
        case Leave(nodes, count):
            view.left_undone = True
            view.error = {**(view.error or {}), "undone": list(nodes), "undone_count": count}
        case Supersede(key):
            del view.rows[key]
        case Reopen(generation, failures, error, stands):
            view.generation, view.failures, view.error = generation, failures, error
            view.expired, view.doomed = view.expired and stands, view.doomed and stands
            view.rollback, view.left_undone = view.rollback and stands, False


def _move(row: Row, status: NodeStatus) -> None:
    check_node_move(row.status, status)
    row.status = status


def _end(view: View, row: Row, status: NodeStatus, result: str | None, error: dict[str, Any] | None) -> None:
    view.blocked -= row.status == NodeStatus.BLOCKED
    _move(row, status)
    row.result, row.error, row.verdict, row.held = result, error, "", False
    view.open -= 1


def _park(view: View, row: Row, command: Await | Block | Park) -> None:
    match command:
        case Park():
            _move(row, NodeStatus.WAITING)
            row.error = None
            return
        case Await(_, error, status):
            row.verdict = ""
            if row.status is not status:  # a map that fails, or a body whose time is over, has been waiting
                _move(row, status)
        case Block(_, error):
            _move(row, NodeStatus.BLOCKED)
    row.error = error
    if isinstance(command, Block):  # it has not begun
        row.started, row.attempt = False, row.attempt - 1
        view.blocked += 1


def _mark(row: Row, command: Judge | Hold | Queue | Spread | Bear) -> None:
    match command:
        case Judge(_, verdict):
            row.verdict = verdict
        case Hold(_, held):
            row.held = held
        case Queue():
            row.held = True
        case Bear(_, born):
            row.born = born
        case Spread():
            _spread(row, command)


def _spread(row: Row, command: Spread) -> None:
    _move(row, NodeStatus.WAITING)
    row.items, row.born, row.error, row.held = command.items, command.born, None, False
    row.ok, row.failed, row.skipped = command.ok, command.failed, 0
    row.attempt = row.attempt if command.attempt is None else command.attempt


def _requeue(row: Row, command: Requeue) -> None:
    _move(row, NodeStatus.READY)
    row.delay, row.started, row.error = command.delay, False, command.error
    row.attempt -= command.refund
    # "In a row": an attempt that ended in any ordinary way clears the count.
    row.losses = row.losses + 1 if command.loss else row.losses if command.refund else 0


def snapshot(view: View) -> dict[str, Any]:
    """Return what the log must give back: the execution's status and each row's, as `fold` speaks of them."""
    rows = {key: folded_status(row.status, row.started) for key, row in view.rows.items()}
    return {
        "status": view.status,
        "generation": view.generation,
        "nodes": {key: status for key, status in rows.items() if status is not NodeStatus.PENDING},
    }


def folded_status(status: NodeStatus, started: bool) -> NodeStatus:
    """Return the status as the log knows it: claimed but not begun is still READY."""
    return NodeStatus.READY if status is NodeStatus.RUNNING and not started else status
