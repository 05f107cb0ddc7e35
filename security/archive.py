"""Moving the oldest part of the audit to a file, with its chain: the one way for records to leave the table."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import router, transaction

from security import audit, chain, heads, verify
from security.models import AuditRecord, AuditSeal, AuditSegment
from security.principals import Principal

MOST = 50_000  # records of one file


def archive(before: dt.datetime, principal: Principal, most: int = MOST) -> Iterator[AuditSegment]:
    """Move what was recorded before a moment, and sealed, to files; each is verified before anything is deleted.

    Raises RuntimeError when the chain does not hold.
    """
    report = verify.verify()
    if not report.holds:
        raise RuntimeError(report.problems[0].sentence)
    while links := _next(before, most):
        yield _move(links, principal)


def _next(before: dt.datetime, most: int) -> list[dict[str, Any]]:
    first = AuditSegment.objects.order_by("-last").values_list("last", flat=True).first() or 0
    found: list[dict[str, Any]] = []
    for seal, record in verify.sealed(first):
        if record is None or record["at"] >= before or len(found) == most:
            break
        found.append(
            {"position": seal["position"], "digest": seal["digest"], "record": chain.contents(record)}
        )
    return found


def _move(links: list[dict[str, Any]], principal: Principal) -> AuditSegment:
    first, last = links[0]["position"], links[-1]["position"]
    path = _write(Path(settings.IGON7_AUDIT_ARCHIVE) / f"audit-{first:012d}-{last:012d}.jsonl.gz", links)
    row = AuditSegment(
        first=first,
        last=last,
        last_record=links[-1]["record"]["id"],
        txid=AuditSeal.objects.values_list("txid", flat=True).get(position=last),
        previous=_previous(first),
        digest=links[-1]["digest"],
        file=str(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    row.signature = heads.sign(chain.segment_text({name: getattr(row, name) for name in chain.SEGMENT}))
    with transaction.atomic(using=router.db_for_write(AuditSegment)):
        row.save(force_insert=True)
        if problem := verify.verify_file(path):
            raise RuntimeError(problem.sentence)
        seals = AuditSeal.objects.filter(position__range=(first, last))
        AuditRecord.objects.filter(pk__in=seals.values("record")).delete()
        seals.delete()
        about = {"first": first, "last": last, "file": str(path), "sha256": row.sha256}
        audit.record(principal, "audit.archive", details=about)
    return row


def _previous(first: int) -> str:
    found = AuditSegment.objects.filter(last=first - 1).values_list("digest", flat=True).first()
    return found or chain.GENESIS


def _write(path: Path, links: list[dict[str, Any]]) -> Path:
    """Write the file whole, then name it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
        with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as lines:
            for link in links:
                lines.write(chain.canonical(link) + b"\n")
        raw.flush()
        os.fsync(raw.fileno())
    draft.rename(path)
    return path


def export(rows: Any) -> Iterator[str]:
    """Return records as lines of JSON, with their places in the chain where they have one; memory does not grow."""
    found: list[dict[str, Any]] = []
    for row in rows.values(*chain.FIELDS).iterator(chunk_size=verify.CHUNK):
        found.append(row)
        if len(found) == verify.CHUNK:
            yield from _lines(found)
            found = []
    yield from _lines(found)


def _lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    ids = [row["id"] for row in rows]
    seals = {seal.record: seal for seal in AuditSeal.objects.filter(record__in=ids)}
    for row in rows:
        told = chain.contents(row)
        if seal := seals.get(row["id"]):
            told |= {"position": seal.position, "digest": seal.digest}
        yield json.dumps(told) + "\n"
