"""Sealing the audit: a periodic job links what has been recorded into a chain, in the order of its commits.

Acts and their records commit unchained: a chain in each transaction would make the whole system one queue. On
PostgreSQL what is older than every open transaction is sealed, by (txid, id), so that nothing that commits late is
missed or put before what is sealed; on SQLite, whose writers take turns, by id.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Max, QuerySet
from django.utils import timezone

from security import chain, heads
from security.models import AuditRecord, AuditSeal, AuditSegment

log = logging.getLogger(__name__)

EVERY = 5.0  # seconds between two rounds
BATCH = 500  # records of one transaction
BUDGET = 1.0  # seconds of one round
HEAD_EVERY, HEAD_AFTER = dt.timedelta(minutes=1), 10_000  # a head is signed when either has passed
_LOCK = 0x696737617564  # "ig7aud": the advisory lock under which one process seals


def keep_sealed() -> int:
    """Seal what there is, for a while, and sign a head when one is due; return how many records were sealed."""
    end, count = time.monotonic() + BUDGET, 0
    while (sealed := seal()) and time.monotonic() < end:
        count += sealed
    sign_head()
    return count + sealed


def seal(limit: int = BATCH, *, guarded: bool = True) -> int:
    """Seal up to `limit` records that are next; 0 when there are none, or somebody else is at it.

    Without the guard, whoever comes second fails with IntegrityError: positions are unique.
    """
    using = router.db_for_write(AuditSeal)
    connection = connections[using]
    if not pending(connection, 1):
        return 0  # without taking SQLite's one write lock
    with transaction.atomic(using=using, durable=False):
        if guarded and not _alone(connection):
            return 0
        position, previous = tip(using)
        seals = []
        for row in pending(connection, limit):
            position += 1
            digest = chain.digest(previous, position, chain.contents(row))
            seals.append(AuditSeal(position=position, record=row["id"], digest=digest, txid=row["txid"]))
            previous = digest
        AuditSeal.objects.using(using).bulk_create(seals)
    return len(seals)


def tip(using: str = DEFAULT_DB_ALIAS) -> tuple[int, str]:
    """Return the last position and its digest; (0, GENESIS) before the first."""
    found = AuditSeal.objects.using(using).order_by("-position").values_list("position", "digest").first()
    if found is None:  # all of it may be archived
        archived = AuditSegment.objects.using(using).order_by("-last").values_list("last", "digest").first()
        found = archived or (0, chain.GENESIS)
    return found


def pending(connection: BaseDatabaseWrapper, limit: int) -> list[dict[str, Any]]:
    """Return the records to be sealed next, in the order of the chain."""
    rows = AuditRecord.objects.using(connection.alias).values(*chain.FIELDS, "txid")
    last = _cursor(connection.alias)
    if connection.vendor != "postgresql":
        return list((rows.filter(id__gt=last[1]) if last else rows).order_by("id")[:limit])
    rows = rows.extra(where=["txid < pg_snapshot_xmin(pg_current_snapshot())"])
    if last:
        rows = rows.extra(where=["(txid, id) > (%s::xid8, %s)"], params=[str(last[0]), last[1]])
    return list(rows.order_by("txid", "id")[:limit])


def _cursor(using: str) -> tuple[int | None, int] | None:
    for model in (AuditSeal, AuditSegment):
        name, record = ("position", "record") if model is AuditSeal else ("last", "last_record")
        found: Any = (
            model._default_manager.using(using).order_by(f"-{name}").values_list("txid", record).first()
        )
        if found:
            return (int(found[0]) if found[0] is not None else None, found[1])
    return None


def unsealed() -> QuerySet[AuditRecord]:
    """Return the records that wait to be sealed."""
    last = AuditSeal.objects.aggregate(last=Max("record"))["last"] or 0
    return AuditRecord.objects.filter(id__gt=last)


def sign_head(*, now: bool = False) -> heads.Head | None:
    """Sign the chain's head when there is something new and one is due, or `now`; None when not."""
    position, digest = tip()
    last = heads.last()
    new = position - (int(last.get("position", 0)) if last else 0)
    if not new or not (now or _is_due(last, new)):
        return None
    head = heads.write(position, digest, timezone.now().isoformat(timespec="microseconds"))
    log.info("Audit head: position %d, digest %s, signature %s", position, digest, head["signature"])
    return head


def _is_due(last: heads.Head | None, new: int) -> bool:
    if last is None or new < 0 or new >= HEAD_AFTER:
        return True
    return timezone.now() - dt.datetime.fromisoformat(str(last["at"])) >= HEAD_EVERY


def _alone(connection: BaseDatabaseWrapper) -> bool:
    if connection.vendor != "postgresql":
        return True  # the transaction is the only writer
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])
