"""Acting on one execution that is there."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings

from orchestration.engine.attention import DECISIONS
from orchestration.engine.codec import dump_payload
from orchestration.engine.errors import InvalidOption
from orchestration.models import Execution
from orchestration.store import acts, again
from security.principals import Principal

from . import admission
from .acting import SAME, act_on, edited_text


def cancel(
    execution_id: uuid.UUID | str, *, principal: Principal, reason: str = "", rollback: bool = False
) -> None:
    """Cancel: what has not begun never does, what runs is asked to stop; with `rollback`, then undo what succeeded.

    Raises IllegalMove, Denied.
    """
    act = partial(acts.cancel, rollback=rollback)
    act_on("cancel", execution_id, principal, reason, act, rollback=rollback or None)


def terminate(execution_id: uuid.UUID | str, *, principal: Principal, reason: str = "") -> None:
    """End at once: running bodies are interrupted and their results refused. Raises IllegalMove, Denied."""
    act_on("terminate", execution_id, principal, reason, acts.terminate)


def pause(execution_id: uuid.UUID | str, *, principal: Principal, reason: str = "") -> None:
    """Start nothing new until it is resumed. Raises IllegalMove, Denied."""
    act_on("pause", execution_id, principal, reason, acts.pause)


def resume(execution_id: uuid.UUID | str, *, principal: Principal, reason: str = "") -> None:
    """Let a paused execution go on. Raises IllegalMove, Denied."""
    act_on("resume", execution_id, principal, reason, acts.resume)


def retry(
    execution_id: uuid.UUID | str,
    *,
    principal: Principal,
    node: str | None = None,
    input: Any = SAME,
    reason: str = "",
) -> None:
    """Run again what failed or was cancelled (or `node`, however it ended) and what follows; keep the rest.

    `input` is what the node then sees in the place of the execution's. Raises InvalidOption, NotSerialisable,
    PayloadTooLarge, IllegalMove, Denied.
    """
    if node is None and input is not SAME:
        raise InvalidOption(option="input", value=input, expected="left out, unless a node is named")
    text = edited_text(input, node)
    act = lambda id, about: again.retry(id, about, node, text)  # noqa: E731
    also = partial(_check_change, node, principal)
    about = {"node": node, "edited": text is not None or None}
    act_on("retry", execution_id, principal, reason, act, also=also, **about)


def attend(
    execution_id: uuid.UUID | str,
    node: str,
    decision: str,
    *,
    principal: Principal,
    result: Any = None,
    input: Any = SAME,
    reason: str = "",
    reopen: bool = False,
) -> None:
    """Decide about one node: "retry" (with another `input`), "supply" (its `result`), "skip" or "fail".

    All four are for a node that needs attention; one that has not begun can be skipped or given a result, too. So can
    one that failed in an execution that has ended, with `reopen`: who decides about a node that waits, and comes too
    late, must not bring its execution back. Raises InvalidOption, NotSerialisable,
    PayloadTooLarge, IllegalMove, Denied.
    """
    if decision not in DECISIONS:
        raise InvalidOption(option="decision", value=decision, expected="one of " + ", ".join(DECISIONS))
    if decision != "supply" and result is not None:
        raise InvalidOption(
            option="result", value=result, expected='left out, unless the decision is "supply"'
        )
    if decision != "retry" and input is not SAME:
        raise InvalidOption(option="input", value=input, expected='left out, unless the decision is "retry"')
    what, limit = f'The result of node "{node}"', settings.IGON7_PAYLOAD_LIMIT
    text = dump_payload(result, what, limit) if decision == "supply" else None
    edited = edited_text(input, node)
    act = lambda id, about: again.attend(id, node, decision, about, text, edited, ended_too=reopen)  # noqa: E731
    details = {
        "node": node,
        "decision": decision,
        "edited": edited is not None or None,
        "reopen": reopen or None,
    }
    also = partial(_check_change, node, principal) if decision != "fail" else None
    act_on("attend", execution_id, principal, reason, act, also=also, **details)


def _check_change(node: str | None, principal: Principal, execution: Execution) -> None:
    admission.check_change(execution, node, principal)


RESERVED: dict[str, Callable[..., None]] = {
    "cancel": cancel,
    "terminate": terminate,
    "pause": pause,
    "resume": resume,
}
