"""Starting, stopping and reading bulk acts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestration import executor
from orchestration.engine.errors import Igon7Error
from orchestration.models import BulkAct, BulkItem
from orchestration.store import clock, ids
from security import audit
from security.actions import CONSOLE_OPEN
from security.policies import authorise, visible_to
from security.principals import Principal

from .preview import check_options, check_payload, preview, without_input
from .selection import Selection, in_parts

ROWS = 1000  # inserted with one statement


class BulkConflict(Igon7Error):
    """{detail}"""

    code = "bulk_conflict"
    status = 409


class UnknownBulkAct(Igon7Error):
    """There is no bulk act {id} that you may see."""

    code = "unknown_bulk_act"
    status = 404


class Counts(NamedTuple):
    """How far a bulk act has come; `left` have not been touched."""

    total: int
    done: int
    refused: int
    left: int

    @property
    def ended(self) -> int:
        return self.done + self.refused


def start(
    principal: Principal,
    verb: str,
    selection: Selection,
    *,
    confirm: str,
    reason: str = "",
    options: Mapping[str, Any] | None = None,
) -> BulkAct:
    """Freeze the selection and leave the rest to the clusters. `confirm` is "cancel 120": the verb, and how many.

    What a dry run has frozen is taken as it is; of any other selection, those for which the verb is possible now.
    Raises InvalidSignal, InvalidOption, NotSerialisable, PayloadTooLarge, TooMany, BulkConflict and Denied.
    """
    authorise(principal, CONSOLE_OPEN)
    given = check_options(verb, options or {})
    why = executor.check_reason(reason)
    chosen = selection.ids if selection.frozen else preview(principal, verb, selection, given).ids
    if verb == "signal":
        check_payload(chosen, given)
    _check_confirmed(verb, len(chosen), confirm)
    now = clock.now()
    with transaction.atomic():
        act = BulkAct.objects.create(
            id=ids.time_ordered(), verb=verb, options=given, reason=why, query=selection.query,
            principal=principal.to_json(), created_by_id=principal.user_id, total=len(chosen), created_at=now,
            paced_at=now,
        )  # fmt: skip
        for some in in_parts(chosen, ROWS):
            BulkItem.objects.bulk_create(BulkItem(act=act, execution_id=id) for id in some)
        about = {
            "executions": len(chosen),
            "query": selection.query,
            "options": without_input(given),
            "reason": why,
        }
        audit.record(principal, f"bulk.{verb}", act, details=about)
    return act


def _check_confirmed(verb: str, count: int, confirm: str) -> None:
    if not count:
        raise BulkConflict(_('There is nothing to do: "%s" is possible for none of them now.') % verb)
    if " ".join(str(confirm).split()).lower() != f"{verb} {count}":
        raise BulkConflict(
            ngettext(
                'There is %(count)d execution to %(verb)s now. Confirm with "%(verb)s %(count)d".',
                'There are %(count)d executions to %(verb)s now. Confirm with "%(verb)s %(count)d".',
                count,
            )
            % {"count": count, "verb": verb}
        )


def stop(principal: Principal, id: uuid.UUID | str) -> BulkAct:
    """Leave alone what nothing has been done to yet. Raises UnknownBulkAct, BulkConflict and Denied."""
    act = find(principal, id)
    authorise(principal, CONSOLE_OPEN)
    running = BulkAct.objects.filter(pk=act.pk, status=BulkAct.Status.RUNNING)
    with transaction.atomic():
        if not running.update(
            status=BulkAct.Status.STOPPED, finished_at=clock.now(), stopped_by=principal.name[:200]
        ):
            act.refresh_from_db()
            raise BulkConflict(_("This bulk act is %s, so it cannot be stopped.") % act.get_status_display())
        audit.record(principal, "bulk.stop", act, details={"left": counts(act).left})
    act.refresh_from_db()
    return act


def find(principal: Principal, id: uuid.UUID | str) -> BulkAct:
    """Return one's own bulk act (staff: anybody's). Raises UnknownBulkAct."""
    try:
        return acts(principal).get(pk=uuid.UUID(str(id)))
    except (ValueError, BulkAct.DoesNotExist):
        raise UnknownBulkAct(id=id) from None


def acts(principal: Principal) -> QuerySet[BulkAct]:
    """Return one's own bulk acts (staff: everybody's)."""
    return visible_to(principal, BulkAct.objects.all())


def counts_of(some: Sequence[BulkAct]) -> dict[uuid.UUID, Counts]:
    """Count what has become of the executions of each, in one query."""
    rows = BulkItem.objects.filter(act__in=[act.pk for act in some]).order_by()
    found = {
        (id, state): number for id, state, number in rows.values_list("act", "state").annotate(Count("id"))
    }
    return {
        act.pk: Counts(
            act.total, *(found.get((act.pk, state), 0) for state in ("done", "refused", "pending"))
        )
        for act in some
    }


def counts(act: BulkAct) -> Counts:
    """Count what has become of its executions."""
    return counts_of([act])[act.pk]


def refused_items(act: BulkAct, after: int = 0, limit: int = 50) -> QuerySet[BulkItem]:
    """Return those that were refused after the item `after`, in order."""
    return act.items.filter(state=BulkItem.State.REFUSED, id__gt=after).order_by("id")[:limit]
