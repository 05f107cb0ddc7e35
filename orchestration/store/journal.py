"""The journal: what a body's durable calls gave. It is not state: a write checks the fence, and takes no lock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from . import clock, sql
from .claim import Claim
from .sql import Statement, execute

# What is not a value is asked for anew by a retry by hand; what was read may have been put right since.
VALUE, READ, TIMEOUT, REFUSED = ("value", "read", "timeout", "refused")
# Kinds of their own, which no call of a body has: the seconds that an attempt has run, and when it began.
RAN, BEGAN = "ran", "began"
OWN = (RAN, BEGAN)
RELEASE = "release"  # what somebody said about a node that does not run for everybody


def ran_key(attempt: int) -> str:
    """Return where it stands how long an attempt has run; no call of a body has such a key."""
    return f"#{RAN} {attempt}"


def began_key(attempt: int) -> str:
    """Return where it stands when an attempt that has waited began."""
    return f"#{BEGAN} {attempt}"


def release_key(number: int) -> str:
    """Return where the answer to a node's question stands, whether it is released."""
    return f"#{RELEASE} {number}"


def release_number(key: str) -> int:
    """Return the number of the question."""
    return int(key.rpartition(" ")[2])


@dataclass(frozen=True, slots=True)
class Entry:
    """What came of a durable call: a value (JSON text), or its time ran out."""

    key: str
    kind: str
    came: str = VALUE
    value: str | None = None


Journals = dict[int, dict[str, Entry]]


def read(run_ids: Sequence[int], using: str = DEFAULT_DB_ALIAS) -> Journals:
    """Return the journal of each of these node runs, by key."""
    connection = connections[using]
    condition, ids = sql.one_of(connection, "node_run_id", run_ids, "bigint")
    text = (
        f"SELECT node_run_id, key, kind, came, {sql.json_text(connection, 'value')}"
        f" FROM orchestration_journalentry WHERE {condition}"
    )
    found: Journals = {run_id: {} for run_id in run_ids}
    for run_id, *entry in execute(connection, text, [ids]):
        found[run_id][entry[0]] = Entry(*entry)
    return found


def keep(claim: Claim, entry: Entry, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Write an entry of a body that runs; False when the claim is ours no longer."""
    connection = connections[using]
    return bool(execute(connection, *keeping(connection, claim, entry, "UPDATE SET value = excluded.value")))


def keeping(
    connection: BaseDatabaseWrapper, claim: Claim, entry: Entry, again: str = "NOTHING", lock: str = ""
) -> Statement:
    """Return what writes an entry of a body that runs; it returns no row when the claim is ours no longer.

    Nor, with NOTHING to do `again`, where there is such an entry. `lock` is a clause that locks the node run (n).
    """
    mark = "%s::json" if sql.is_postgres(connection) else "%s"
    text = (
        "INSERT INTO orchestration_journalentry (node_run_id, key, kind, came, value, at)"
        f" SELECT n.id, %s, %s, %s, {mark}, {clock.sql(connection)} FROM orchestration_noderun n"
        f" WHERE n.id = %s AND n.fence = %s AND n.status = 'running' {lock}"
        f" ON CONFLICT (node_run_id, key) DO {again} RETURNING id"
    )
    return text, [entry.key, entry.kind, entry.came, entry.value, claim.run_id, claim.fence]


def of_claim(claim: Claim, key: str, using: str = DEFAULT_DB_ALIAS) -> Entry | None:
    """Return an entry of a body that runs; None where there is none, or the claim is ours no longer."""
    connection = connections[using]
    text = (
        f"SELECT j.key, j.kind, j.came, {sql.json_text(connection, 'j.value')} FROM orchestration_journalentry j"
        " JOIN orchestration_noderun n ON n.id = j.node_run_id"
        " WHERE n.id = %s AND n.fence = %s AND n.status = 'running' AND j.key = %s"
    )
    found = execute(connection, text, [claim.run_id, claim.fence, key])
    return Entry(*found[0]) if found else None


_PAIR = {"old": "id", "new": "id"}


def carry(connection: BaseDatabaseWrapper, pairs: Sequence[tuple[int, int]]) -> None:
    """Let each new node run remember what an old one did, pairs of (old, new)."""
    if not pairs:
        return
    text = (
        "INSERT INTO orchestration_journalentry (node_run_id, key, kind, came, value, at)"
        " SELECT r.new, j.key, j.kind, j.came, j.value, j.at"
        f" FROM {sql.recordset(connection.vendor, _PAIR)} JOIN orchestration_journalentry j"
        f" ON j.node_run_id = r.old AND j.came = '{VALUE}' AND j.kind NOT IN ('{RAN}', '{BEGAN}', '{RELEASE}')"
    )
    execute(connection, text, [sql.records(connection, pairs)])


def ask_anew(connection: BaseDatabaseWrapper, run_id: int | None) -> None:
    """Forget what came to nothing, such as a wait whose time ran out: a person has it tried again."""
    text = f"DELETE FROM orchestration_journalentry WHERE node_run_id = %s AND came <> '{VALUE}'"
    execute(connection, text, [run_id])


def forget(connection: BaseDatabaseWrapper, run_id: int | None) -> None:
    """Forget what the node run remembers: it is given another input."""
    execute(connection, "DELETE FROM orchestration_journalentry WHERE node_run_id = %s", [run_id])


_ENTRY = {"node_run_id": "id", "key": "text", "kind": "text", "came": "text", "value": "json", "at": "time"}


def insert(
    connection: BaseDatabaseWrapper, entries: Iterable[Sequence[object]], *, anew: bool = False
) -> Statement:
    """Return what writes entries, rows of _ENTRY, under the execution's lock; the first of a key stays, or the last."""
    then = "UPDATE SET value = excluded.value" if anew else "NOTHING"
    names = ", ".join(_ENTRY)
    text = (
        f"INSERT INTO orchestration_journalentry ({names}) SELECT {names}"
        f" FROM {sql.recordset(connection.vendor, _ENTRY)} WHERE true ON CONFLICT (node_run_id, key) DO {then}"
    )
    return text, [sql.records(connection, entries)]
