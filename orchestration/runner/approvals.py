"""`ctx.wait_for_approval`: a body asks people, and waits for what one of them says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from orchestration import inputs
from orchestration.engine.durations import Duration, seconds
from orchestration.engine.errors import InvalidOption
from security.masking import mask, mask_json

from .async_calls import AsyncDurableCalls
from .calls import DurableCalls


def _about(name: str, text: str, roles: Iterable[str], users: Iterable[str], form: Any) -> str:
    names = {"roles": _names("roles", roles), "users": _names("users", users)}
    if form is not None and not isinstance(form, Mapping):
        raise InvalidOption(option="form", value=form, expected="a JSON Schema of an object")
    if form is not None:
        inputs.check_form(name, form)
    return mask_json(json.dumps({"text": mask(str(text))[:2000], **names, "form": form}))


def _names(option: str, names: Iterable[str]) -> list[str]:
    listed = [names] if isinstance(names, str) else list(names)
    if not all(isinstance(name, str) and name for name in listed):
        raise InvalidOption(option=option, value=names, expected="names")
    return listed


def _due(due: Duration | None) -> float | None:
    return seconds(due, "due") if due is not None else None


class ApprovalCalls(DurableCalls):
    """Asking people, for sync bodies."""

    def wait_for_approval(
        self,
        name: str,
        *,
        text: str = "",
        roles: Iterable[str] = (),
        users: Iterable[str] = (),
        form: Mapping[str, Any] | None = None,
        due: Duration | None = None,
    ) -> Any:
        """Wait until somebody of these roles, or one of these users, approves; return {"by", "at", "comment", "form"}.

        Never whoever started the execution. Raises ApprovalRejected, ApprovalTimeout, InvalidOption, GraphError,
        ReplayDiverged, NodeCancelled.
        """
        return self._await("approval", name, _due(due), _about(name, text, roles, users, form))


class AsyncApprovalCalls(AsyncDurableCalls):
    """Asking people, for async bodies."""

    async def wait_for_approval(
        self,
        name: str,
        *,
        text: str = "",
        roles: Iterable[str] = (),
        users: Iterable[str] = (),
        form: Mapping[str, Any] | None = None,
        due: Duration | None = None,
    ) -> Any:
        """Wait until somebody of these roles, or one of these users, approves; return {"by", "at", "comment", "form"}.

        Never whoever started the execution. Raises ApprovalRejected, ApprovalTimeout, InvalidOption, GraphError,
        ReplayDiverged, NodeCancelled.
        """
        return await self._await_it("approval", name, _due(due), _about(name, text, roles, users, form))
