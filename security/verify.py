"""Verifying the audit: the chain link by link, the signed heads, and what has moved to files."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connections, router
from django.utils.translation import gettext as _

from security import chain, heads
from security.models import AuditRecord, AuditSeal, AuditSegment

CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where: a deleted, edited, inserted, missing, truncated, rewritten or forged link."""

    kind: str
    position: int | None
    record: int | None
    sentence: str


@dataclass(slots=True)
class Report:
    """What was looked at, and the first thing that is wrong with each part of it."""

    position: int = 0
    digest: str = chain.GENESIS
    sealed: int = 0
    heads: int = 0
    archived: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.problems


def verify(
    *, heads_path: Path | None = None, key: str | None = None, archives: Iterable[Path] = ()
) -> Report:
    """Verify all of it against the public `key` (default: this installation's own) and the heads in a file."""
    key, report = key or heads.public_key(), Report()
    signed = _signed(heads_path, key, report)
    for problem in (
        _segments(report, key),
        _links(report, signed),
        _inserted(report),
        _beyond(report, signed),
    ):
        if problem is not None:
            report.problems.append(problem)
    for path in archives:
        if problem := verify_file(path):
            report.problems.append(problem)
    return report


def _signed(path: Path | None, key: str, report: Report) -> dict[int, str]:
    """Return the digests that were signed, by position."""
    found: dict[int, str] = {}
    for number, head in enumerate(heads.read(path), 1):
        if not heads.is_genuine(head, key):
            said = _("Line %(number)d of the heads was not signed with this key.") % {"number": number}
            report.problems.append(Problem("forged", head.get("position"), None, said))
            continue
        # The first stands: who empties the table and grows another chain gets the same positions signed again.
        found.setdefault(int(head["position"]), str(head["digest"]))
        report.heads += 1
    return found


def _segments(report: Report, key: str) -> Problem | None:
    for row in AuditSegment.objects.order_by("first"):
        about = {name: getattr(row, name) for name in chain.SEGMENT}
        if not heads.is_signed(chain.segment_text(about), row.signature, key):
            said = _("The archived segment that begins at %(first)d was not signed with this key.")
            return Problem("forged", row.first, None, said % {"first": row.first})
        if row.first != report.position + 1 or row.previous != report.digest:
            said = _("The archived segment that begins at %(first)d does not follow position %(last)d.")
            return Problem("missing", row.first, None, said % {"first": row.first, "last": report.position})
        report.position, report.digest = row.last, row.digest
        report.archived += row.last - row.first + 1
    return None


def _links(report: Report, signed: dict[int, str]) -> Problem | None:
    """Follow the chain; the report tells how far it holds."""
    for seal, record in sealed(report.position):
        position = report.position + 1
        if seal["position"] != position:
            said = _("Position %(position)d is missing: the next one there is, is %(next)d.")
            return Problem("missing", position, None, said % {"position": position, "next": seal["position"]})
        if record is None:
            said = _("Record %(record)d, at position %(position)d, was deleted.")
            return Problem("deleted", position, seal["record"], said % seal)
        if chain.digest(report.digest, position, chain.contents(record)) != seal["digest"]:
            said = _(
                "Record %(record)d, at position %(position)d, is not what was sealed: it was edited, or moved."
            )
            return Problem("edited", position, seal["record"], said % seal)
        if signed.get(position, seal["digest"]) != seal["digest"]:
            said = _(
                "Position %(position)d has another digest than the one that was signed: the chain was rewritten."
            )
            return Problem("rewritten", position, seal["record"], said % seal)
        report.position, report.digest = position, seal["digest"]
        report.sealed += 1
    return None


def sealed(after: int) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Return seals with their records, in the order of the chain; what is in memory does not grow."""
    while True:
        rows = AuditSeal.objects.filter(position__gt=after).order_by("position")
        seals = list(rows.values("position", "record", "digest")[:CHUNK])
        if not seals:
            return
        wanted = AuditRecord.objects.filter(pk__in=[seal["record"] for seal in seals])
        records = {row["id"]: row for row in wanted.values(*chain.FIELDS)}
        for seal in seals:
            yield dict(seal), records.get(seal["record"])
        after = seals[-1]["position"]


def _inserted(report: Report) -> Problem | None:
    """Find a record that stands before what is sealed and was not sealed in its turn."""
    last = AuditSeal.objects.order_by("-position").values("record", "txid").first()
    if last is None:
        return None
    rows = AuditRecord.objects.extra(where=[
        "NOT EXISTS (SELECT 1 FROM security_auditseal s WHERE s.record = security_auditrecord.id)"
    ])  # fmt: skip
    if connections[router.db_for_read(AuditRecord)].vendor == "postgresql":
        rows = rows.extra(where=["(txid, id) < (%s::xid8, %s)"], params=[str(last["txid"]), last["record"]])
    else:
        rows = rows.filter(pk__lt=last["record"])
    found = rows.order_by("pk").values_list("pk", flat=True).first()
    if found is None:
        return None
    said = _(
        "Record %(record)d stands among sealed ones, and is not sealed: it was inserted, or its seal is gone."
    )
    return Problem("inserted", None, found, said % {"record": found})


def _beyond(report: Report, signed: dict[int, str]) -> Problem | None:
    there = AuditSeal.objects.order_by("-position").values_list("position", flat=True).first()
    end, last = max(there or 0, report.position), max(signed, default=0)
    if last <= end:
        return None
    said = _("A head was signed at position %(last)d, and the chain ends at %(end)d: it was cut short.")
    return Problem("truncated", last, None, said % {"last": last, "end": end})


# --- files -----------------------------------------------------------------------------------------


def verify_file(path: Path) -> Problem | None:
    """Follow a segment's chain in its file, and compare it with what the table says of it."""
    about = {"file": str(path)}
    try:
        row = AuditSegment.objects.filter(sha256=hashlib.sha256(path.read_bytes()).hexdigest()).first()
    except OSError as error:
        return Problem("missing", None, None, str(error))
    if row is None:
        return Problem("forged", None, None, _("%(file)s is no segment that this table knows.") % about)
    digest, position = row.previous, row.first - 1
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            link = json.loads(line)
            position += 1
            digest = chain.digest(digest, position, link["record"])
            if (link["position"], link["digest"]) != (position, digest):
                said = _("Position %(position)d in %(file)s is not what was sealed.")
                return Problem(
                    "edited", position, link["record"].get("id"), said % {**about, "position": position}
                )
    if (position, digest) != (row.last, row.digest):
        return Problem("truncated", position, None, _("%(file)s ends too early.") % about)
    return None
