"""Nodes that do not run for everybody: asked after the claim, before anything of the author's runs.

Where a node waits for a release, the question is a wait like those of bodies, and the answer an entry in the journal:
who released it, and the digest of the input that they were shown. Another input is another question.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db import connection

from orchestration.engine.decide import Result
from orchestration.engine.errors import NodeDenied
from orchestration.engine.graph import NodeSpec
from orchestration.engine.parking import Wait
from orchestration.engine.states import Outcome
from orchestration.executor.acting import resource_of
from orchestration.executor.admission import NODE_RUN, may_run
from orchestration.store import clock, journal, sql
from orchestration.store.journal import RELEASE, Entry
from orchestration.store.sql import execute
from security import audit
from security.models import AuditRecord
from security.principals import Principal

from . import bodies
from .memory import input_of, results_of
from .seat import Held


def instead(held: Held, workflow: str, spec: NodeSpec, worker: str) -> Result | None:
    """Return None where the node may run now; else what comes of it: it fails, or waits for somebody's release."""
    principal, now = Principal.from_json(input_of(held.claim.execution_id)["principal"]), clock.now()
    reason = may_run(spec, principal, now)
    if not reason:
        return None
    assert spec.permissions is not None
    digest = _digest(held, spec)
    releases = _releases(held)
    if spec.permissions.waits and releases:
        last = releases[-1]
        if last.came == journal.REFUSED:
            return _failed(held, spec, _said(last), worker)
        if _holds(last, digest, spec, now):
            return None
    about = {"node": spec.id, "reason": reason}
    resource = resource_of(held.claim.execution_id, workflow)
    audit.record(principal, NODE_RUN, resource, AuditRecord.Outcome.DENIED, about)
    if not spec.permissions.waits:
        return _failed(held, spec, reason, worker)
    return _asking(held, spec, digest, reason, len(_own(held)) + 1)


def _holds(release: Entry, digest: str, spec: NodeSpec, now: Any) -> bool:
    said = json.loads(release.value or "{}")
    released_by = Principal.from_json(said["principal"])
    return said["digest"] == digest and not may_run(spec, released_by, now)


def _asking(held: Held, spec: NodeSpec, digest: str, reason: str, number: int) -> Result:
    permissions = spec.permissions
    assert permissions is not None
    about = {
        "text": reason,
        "roles": list(permissions.required_roles),
        "users": list(permissions.allowed_users),
        "mfa": permissions.mfa_max_age if permissions.require_mfa else None,
        "digest": digest,
    }
    wait = Wait(journal.release_key(number), RELEASE, spec.id, about=json.dumps(about))
    return Result(held.claim.key, Outcome.SUSPENDED, waits=(wait,), queued=held.claim.queued)


def _failed(held: Held, spec: NodeSpec, reason: str, worker: str) -> Result:
    error = bodies.describe(NodeDenied(node=spec.id, reason=reason))
    queued = held.claim.queued
    return Result(held.claim.key, Outcome.FAILED, error=error, asked=False, queued=queued, worker=worker)


def _said(release: Entry) -> str:
    said = json.loads(release.value or "{}")
    return f"{said['by']} refused to release it" + (f": {said['comment']}" if said["comment"] else ".")


# --- what was released -----------------------------------------------------------------------------


def _releases(held: Held) -> list[Entry]:
    """Return the answers to what this row has asked, or its map for all its items, the last one last."""
    found = _own(held)
    if not found and held.claim.key.index >= 0:
        text = (
            "SELECT id FROM orchestration_noderun WHERE execution_id = %s AND node = %s"
            ' AND NOT superseded AND "index" = -1 AND for_node = %s'
        )
        about = [sql.key(connection, held.claim.execution_id), held.claim.key.node, held.claim.key.for_node]
        for (run_id,) in execute(connection, text, about):
            found = _of(journal.read([run_id])[run_id])
    return found


def _own(held: Held) -> list[Entry]:
    if held.journal is None:
        held.journal = journal.read([held.claim.run_id])[held.claim.run_id]
    return _of(held.journal)


def _of(entries: dict[str, Entry]) -> list[Entry]:
    found = [entry for entry in entries.values() if entry.kind == RELEASE]
    return sorted(found, key=lambda entry: journal.release_number(entry.key))


def _digest(held: Held, spec: NodeSpec) -> str:
    """Return what tells one input of the node from another: the execution's, or its own, and the results before it.

    Items go by what their map was given: it is released for all of them.
    """
    given = held.edited or held.claim.input or json.dumps(input_of(held.claim.execution_id)["input"])
    before = results_of(held.claim.execution_id, spec.depends_on) if spec.depends_on else {}
    told = json.dumps([given, sorted(before.items()), dict(spec.params)], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()
