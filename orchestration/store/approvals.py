"""Approvals: a body waits for what a person says; the first to say it is heard."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

from django.db import DEFAULT_DB_ALIAS, connections

from orchestration.engine.errors import IllegalMove

from . import clock, deliver, journal, sql
from .locked import lock_statement, read_locked
from .sql import Statement
from .transaction import transaction
from .versions import graph_of

_WORDS = {
    "approval": {journal.VALUE: "approved", journal.REFUSED: "rejected"},
    journal.RELEASE: {journal.VALUE: "released", journal.REFUSED: "refused to release"},
}


def decide(
    id: uuid.UUID,
    wait_id: int,
    node: str,
    approved: bool,
    about: dict[str, object],
    also: Callable[[], list[Statement]],
    using: str = DEFAULT_DB_ALIAS,
) -> None:
    """Bring what was said to a body that asks, or to a node that waits to be released.

    `about` is its "by", "comment" and "form"; of a release, "principal" and "digest".

    Raises IllegalMove when nothing asks any more: somebody was first, its time is over, or the execution has ended.
    """
    connection = connections[using]
    condition = f"w.id = %s AND w.execution_id = %s AND w.kind IN ('approval', '{journal.RELEASE}')"
    with transaction(connection) as turn:
        locked, [[now]], rows = turn.run(
            [
                lock_statement(connection, [id]),
                (f"SELECT {clock.sql(connection)}", []),
                deliver.asking(connection, condition, [wait_id, sql.key(connection, id)]),
            ]
        )
        items = read_locked(locked, graph_of)
        found = deliver.read(items, rows)
        if not found:
            state = f'not waiting for an approval of "{node}"'
            hint = "Somebody has decided, its time is over, or the execution has ended."
            raise IllegalMove(id=id, state=state, verb="take one", hint=hint)
        [wait], delivery = found, deliver.Delivery()
        items[id].now = clock.read(now)
        said = {**about, "at": items[id].now.isoformat()}
        came = journal.VALUE if approved else journal.REFUSED
        word = _WORDS[wait.kind][came]
        told = {wait.kind: {"name": wait.name, "approved": approved, "by": about["by"]}}
        delivery.bring(
            items[id], wait, f"{about['by']} {word} it", came=came, value=json.dumps(said), about=told
        )
        turn.finish([*deliver.writing(connection, items.values(), delivery), *also()])
