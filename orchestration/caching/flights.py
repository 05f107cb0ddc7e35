"""Single flight: of equal results wanted at once, one is computed, whatever processes want them.

A flight is a row whose key is unique; it names a claim (node run and fence) and lives as long as that is the row's
present one. So it needs no lease of its own: when the holder is killed, its claim ends as every claim does, and
with it the flight; while the holder's body is parked, the flight waits with it. Who comes meanwhile hands the claim
back, with a delay, and notes what it waits for; at the end of the flight its delay is cut short. Should that miss
somebody (who had not handed back yet, or whose row was locked), the keeper, which looks each second for who waits
for no living flight, does it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db import connection

from orchestration.store import clock, sql, wakeups
from orchestration.store.claim import Claim
from orchestration.store.locked import read_uuid
from orchestration.store.sql import execute

from .lightly import returning

DELAY = 300.0  # seconds for which a claim is handed back; who waits is woken long before, as a rule
_LIVES = (
    "EXISTS (SELECT 1 FROM orchestration_noderun n WHERE n.id = {of}.run_id AND n.fence = {of}.fence"
    " AND (n.status = 'running' OR n.parked > 0 AND n.status = 'ready' OR n.status = 'waiting' AND n.error IS NULL))"
)


def take(key: str, claim: Claim) -> uuid.UUID | None:
    """Begin a flight for this claim and return None, or return the execution that computes the result now."""
    values = [key, claim.run_id, claim.fence, sql.key(connection, claim.execution_id)]
    begin = (
        "INSERT INTO orchestration_cacheflight (key, run_id, fence, execution) VALUES (%s, %s, %s, %s)"
        f" ON CONFLICT (key) DO NOTHING {returning(connection, 'key')}"
    )
    # Two statements: what is seen of the flight was committed after its claim, so the next one sees that too.
    take_over = f"""
        UPDATE orchestration_cacheflight SET run_id = %s, fence = %s, execution = %s
        WHERE key = %s AND run_id = %s AND fence = %s
        AND (run_id = %s OR NOT {_LIVES.format(of="orchestration_cacheflight")})
        {returning(connection, "key")}
    """
    while not execute(connection, begin, values):
        look = "SELECT run_id, fence, execution FROM orchestration_cacheflight WHERE key = %s"
        if not (found := execute(connection, look, [key])):
            continue  # it has just ended
        run_id, fence, execution = found[0]
        if execute(connection, take_over, [*values[1:], key, run_id, fence, claim.run_id]):
            break
        if (still := execute(connection, look, [key])) and still[0][:2] == (run_id, fence):
            return read_uuid(execution)
    return None


def wait(key: str, claim: Claim) -> None:
    """Note that the claim is handed back until the flight ends."""
    text = (
        "INSERT INTO orchestration_cachewait (run_id, fence, key) VALUES (%s, %s, %s)"
        " ON CONFLICT (run_id) DO UPDATE SET fence = excluded.fence, key = excluded.key"
        f" {returning(connection, 'run_id')}"
    )
    execute(connection, text, [claim.run_id, claim.fence, key])


def end(key: str, claim: Claim) -> None:
    """End the claim's flight, if it has one, and let those go on who wait for it."""
    ours = "DELETE FROM orchestration_cacheflight WHERE key = %s AND run_id = %s AND fence = %s"
    if execute(connection, f"{ours} {returning(connection, 'key')}", [key, claim.run_id, claim.fence]):
        _let_go("w.key = %s", [key])


def let_stranded_go() -> None:
    """Let those go on who wait for a flight that is over."""
    if not execute(connection, "SELECT 1 FROM orchestration_cachewait LIMIT 1", []):
        return
    lives = _LIVES.format(of="f")
    _let_go(f"NOT EXISTS (SELECT 1 FROM orchestration_cacheflight f WHERE f.key = w.key AND {lives})", [])
    forget = (
        "DELETE FROM orchestration_cachewait WHERE NOT EXISTS (SELECT 1 FROM orchestration_noderun n"
        " WHERE n.id = orchestration_cachewait.run_id AND n.fence = orchestration_cachewait.fence"
        f" AND (n.status = 'running' OR n.status = 'ready' AND n.available_at > {clock.sql(connection)}))"
    )
    execute(connection, forget, [])


def _let_go(condition: str, params: Sequence[str]) -> None:
    """Make the rows available now. When a row is due is no state, so their executions are not locked; who would have
    to wait for a row leaves it for the keeper, so that no ring can form."""
    now, locking = clock.sql(connection), sql.for_update(connection, skip=True, of="n")
    text = f"""
        UPDATE orchestration_noderun SET available_at = {now} WHERE id IN (
            SELECT n.id FROM orchestration_noderun n
            JOIN orchestration_cachewait w ON w.run_id = n.id AND w.fence = n.fence
            WHERE {condition} AND n.status = 'ready' AND n.available_at > {now} {locking}
        ) RETURNING id, lane
    """
    if found := execute(connection, text, list(params)):
        gone, ids = sql.one_of(connection, "run_id", [row[0] for row in found], "bigint")
        execute(connection, f"DELETE FROM orchestration_cachewait WHERE {gone}", [ids])
        sql.run(connection, wakeups.statements(connection, {row[1] for row in found}))


def forget_dead() -> None:
    """Delete the flights whose claim is over: a holder that was killed ended none."""
    lives = _LIVES.format(of="orchestration_cacheflight")
    execute(connection, f"DELETE FROM orchestration_cacheflight WHERE NOT {lives}", [])
