"""Messages to executions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from orchestration.engine.errors import InvalidOption, UnknownSignal
from security.principals import Principal

from .acting import visible
from .control import RESERVED


def send_signal(
    execution_id: uuid.UUID | str,
    name: str,
    payload: Mapping[str, Any] | None = None,
    *,
    principal: Principal,
) -> None:
    """Send a signal; the reserved names cancel, terminate, pause and resume do what they say.

    `payload` may carry {"reason": text}, and {"rollback": true} to cancel. Raises UnknownSignal for any other name, and
    what the verb raises.
    """
    verb = RESERVED.get(name)
    if verb is None:
        workflow = visible(execution_id, principal).workflow.name
        raise UnknownSignal(workflow=workflow, name=name, known=", ".join(RESERVED))
    given = payload or {}
    if not isinstance(given, Mapping) or not isinstance(given.get("reason", ""), str):
        raise InvalidOption(option="payload", value=payload, expected='an object such as {"reason": "…"}')
    rollback = {"rollback": True} if name == "cancel" and given.get("rollback") is True else {}
    verb(execution_id, principal=principal, reason=str(given.get("reason", "")), **rollback)
