"""`ctx.audit`: what a body puts on record, once however often it runs, under names that are no act of igon7's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction

from orchestration.engine.codec import dump_payload
from orchestration.engine.errors import InvalidOption
from orchestration.engine.parking import Wait
from orchestration.store import journal, sql
from orchestration.store.journal import VALUE, Entry
from security import audit
from security.masking import mask
from security.objects import Resource
from security.principals import Principal

from .async_calls import AsyncDurableCalls
from .calls import DurableCalls
from .durable import Lost, value_of
from .family import Family
from .patience import patiently
from .seat import Held

KIND, PREFIX = "audit", "workflow."
NAME_LIMIT, DETAILS_LIMIT = 80, 16 * 1024


def _checked(action: Any, resource: Any, details: Any) -> dict[str, Any]:
    """Return what is kept. Raises InvalidOption, NotSerialisable, PayloadTooLarge."""
    for option, text in (("action", action), ("resource", resource)):
        if not isinstance(text, str) or len(text) > NAME_LIMIT or (option == "action" and not text.strip()):
            raise InvalidOption(
                option=option, value=text, expected=f"a text of up to {NAME_LIMIT} characters"
            )
    if details is not None and not isinstance(details, Mapping):
        raise InvalidOption(option="details", value=details, expected="a mapping")
    plain = json.loads(dump_payload(dict(details or {}), "The details of an audit record", DETAILS_LIMIT))
    return {"action": f"{PREFIX}{mask(action.strip())}", "resource": mask(resource), "details": plain}


def _record(held: Held, principal: Principal, key: str, said: dict[str, Any]) -> Entry:
    """Write the record and its entry in the journal in one commit. Raises Lost."""
    entry = Entry(key, KIND, VALUE, json.dumps(said["action"]))
    with transaction.atomic():
        if not sql.execute(connection, *journal.keeping(connection, held.claim, entry)):
            if journal.of_claim(held.claim, key) is None:
                raise Lost
            return entry  # an answer that never came: it is there
        about = {"execution": str(held.claim.execution_id), "node": str(held.claim.key)}
        resource = Resource("workflow.resource", said["resource"], said["resource"])
        audit.record(principal, said["action"], resource, details={**said["details"], "by": about})
    return entry


class AuditCalls(DurableCalls):
    """Putting something on record, for sync bodies."""

    principal: Principal

    def audit(self, action: str, resource: str = "", details: Mapping[str, Any] | None = None) -> Any:
        """Record in the audit, as "workflow.<action>", that this was done for whom the execution acts; once.

        Raises InvalidOption, NotSerialisable, PayloadTooLarge, ReplayDiverged, NodeCancelled.
        """
        said = _checked(action, resource, details)
        key, entry = self._come_to(KIND, said["action"])
        if entry is not None:
            value_of(entry, Wait(key, KIND, said["action"]))
            return
        try:
            self._journal.note(patiently(lambda: _record(self._held, self.principal, key, said)))
        except Lost:
            self._held.gone = True
            raise


class AsyncAuditCalls(AsyncDurableCalls):
    """Putting something on record, for async bodies."""

    principal: Principal

    async def audit(self, action: str, resource: str = "", details: Mapping[str, Any] | None = None) -> None:
        """Record in the audit, as "workflow.<action>", that this was done for whom the execution acts; once.

        Raises InvalidOption, NotSerialisable, PayloadTooLarge, ReplayDiverged, NodeCancelled.
        """
        said = _checked(action, resource, details)
        with Family.of_body().busy():
            key, entry = await self._come_to_it(KIND, said["action"])
            if entry is not None:
                return
            try:
                kept = await self._call(patiently, lambda: _record(self._held, self.principal, key, said))
            except Lost:
                self._held.gone = True
                raise asyncio.CancelledError from None
            self._journal.note(kept)
