"""Carrying bulk acts out: a job that any cluster runs, and as many at once as there are.

An execution's act and its item's mark commit together. So whoever dies leaves each item either done or pending, and
whoever comes next goes on. Two that meet at an item settle it by its lock: the second skips it.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import time
import uuid

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from orchestration import executor
from orchestration.engine.errors import Igon7Error, IllegalMove
from orchestration.models import BulkAct, BulkItem
from orchestration.store import clock
from security.errors import Denied
from security.principals import Principal

from .said import impossible

log = logging.getLogger(__name__)

EVERY = 1.0
TURN = 0.8  # seconds: the keeper that runs this has leases to look after
CATCH_UP = 2.0  # seconds of unused time that are made up for, at most


class _Taken(Exception):
    """Somebody else has this item, or the bulk act was stopped."""


def carry_out() -> None:
    """Go on with what is running, the longest waiting first, for a moment."""
    until = time.monotonic() + TURN
    for act in BulkAct.objects.filter(status=BulkAct.Status.RUNNING).order_by("paced_at"):
        principal = Principal.from_json(act.principal)
        for item in _next(act, _granted(act)):
            if time.monotonic() > until:
                return
            _carry_out(act, item, principal)
        _finish(act)


def _granted(act: BulkAct) -> int:
    """Return for how many executions this cluster may now act: all clusters together keep to the rate."""
    rate, now = settings.IGON7_BULK_RATE, clock.now()
    since = max(act.paced_at, now - dt.timedelta(seconds=CATCH_UP))
    count = int((now - since).total_seconds() * rate)
    if count < 1:
        return 0
    used = since + dt.timedelta(seconds=count / rate)
    unchanged = BulkAct.objects.filter(pk=act.pk, paced_at=act.paced_at)
    return count if unchanged.update(paced_at=used, started_at=Coalesce(F("started_at"), now)) else 0


def _next(act: BulkAct, count: int) -> list[BulkItem]:
    if not count:
        return []
    found = list(act.items.filter(state=BulkItem.State.PENDING).order_by("id")[: 2 * count])
    # Another cluster may still be busy with the first of them: not in its footsteps.
    return sorted(random.sample(found, min(count, len(found))), key=lambda item: item.pk)


def _finish(act: BulkAct) -> None:
    pending = BulkItem.objects.filter(act=OuterRef("pk"), state=BulkItem.State.PENDING)
    left = BulkAct.objects.filter(~Exists(pending), pk=act.pk, status=BulkAct.Status.RUNNING)
    left.update(status=BulkAct.Status.FINISHED, finished_at=clock.now())


def _carry_out(act: BulkAct, item: BulkItem, principal: Principal) -> None:
    def mark(_execution: uuid.UUID) -> None:
        _mark(item, BulkItem.State.DONE)

    try:
        by = _as_now(principal)
        with executor.together_with(executor.Joint(mark, {"bulk": str(act.pk)})):
            executor.VERBS[act.verb](item.execution_id, principal=by, reason=act.reason, **act.options)
    except _Taken:
        return
    except IllegalMove as no:
        _refuse(item, impossible(no))
    except (Igon7Error, Denied) as no:
        _refuse(item, str(no))
    except (DatabaseError, InterfaceError):
        raise  # it stays pending, and is tried again
    except Exception:
        log.exception("Bulk act %s could not %s execution %s.", act.pk, act.verb, item.execution_id)
        _refuse(item, _("igon7 failed to do this; its log says why."))


def _as_now(principal: Principal) -> Principal:
    """Return the principal as they are for the one act that follows.

    Raises Denied when they can no longer act at all: better said than "no such execution".
    """
    now = principal.as_now()
    person = now.person()
    if principal.kind != "system" and (person is None or not person.is_active):
        raise Denied(_("The account of %s is no longer active.") % principal.name)
    return now


def _refuse(item: BulkItem, why: str) -> None:
    try:
        with transaction.atomic():
            _mark(item, BulkItem.State.REFUSED, why)
    except _Taken:
        return


def _mark(item: BulkItem, state: BulkItem.State, why: str = "") -> None:
    """Write what has become of an item that is still pending, under its lock. Raises _Taken."""
    running = BulkAct.objects.filter(status=BulkAct.Status.RUNNING)
    free = BulkItem.objects.select_for_update(skip_locked=True).filter(
        pk=item.pk, state=BulkItem.State.PENDING, act__in=running
    )
    at = clock.counted(connection)
    if not BulkItem.objects.filter(pk__in=free.values("pk")).update(state=state, why=why, at=at):
        raise _Taken
