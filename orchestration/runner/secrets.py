"""`ctx.get_secret`: a value for a body, read for whom the execution acts, once for each attempt and name."""

from __future__ import annotations

from typing import Any

from orchestration.engine import codec
from orchestration.engine.errors import InvalidOption, SecretDenied, UnknownSecret
from orchestration.models import Execution
from security import masking
from security.principals import Principal
from security.secrets import reading

from .seat import Held


def read(held: Held, workflow: str, principal: Principal, name: Any) -> str:
    """Return the value. Raises UnknownSecret, SecretDenied, InvalidOption, and SecretError for what is unreadable."""
    if not isinstance(name, str) or not name:
        raise InvalidOption(option="the name of a secret", value=name, expected="a text")
    if name in held.secrets:
        return held.secrets[name]
    key, tags = held.claim.key, _tags(held)
    about = {"execution": str(held.claim.execution_id), "node": str(key), "attempt": held.claim.attempt}
    try:
        value = reading.read(name, reading.Reader(principal, workflow, tags, {**about, "workflow": workflow}))
    except reading.Hidden:
        raise UnknownSecret(name=name, who=principal.name) from None
    except reading.Refused as refused:
        raise SecretDenied(name=name, why=str(refused)) from None
    # From here on this process knows something that its payloads may not say.
    codec.masks.update({"payload": masking.mask_json})
    held.secrets[name] = value
    return value


def _tags(held: Held) -> list[str]:
    found = Execution.objects.values_list("workflow__tags", flat=True).get(pk=held.claim.execution_id)
    return list(found or ())
