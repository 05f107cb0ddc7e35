"""Files that bodies keep: the bytes through Django's storage, a row beside them, a reference between nodes."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection

from orchestration import models, queries
from orchestration.engine.errors import InvalidOption, UnknownArtifact
from orchestration.store import clock
from orchestration.store.claim import Claim
from security.masking import mask

from .patience import patiently

NAME_LIMIT, TYPE_LIMIT = 200, 100


def keep(claim: Claim, name: str, data: bytes, content_type: str) -> dict[str, Any]:
    """Keep the bytes and return the reference, plain JSON. Raises InvalidOption."""
    _check(name, data, content_type)
    name, content_type, data = mask(name), mask(content_type), _masked(data, content_type)
    id = uuid.uuid4()
    # The path is ours: a name chosen by an author never becomes a place on a disk.
    path = default_storage.save(f"artifacts/{claim.execution_id}/{id}", ContentFile(bytes(data)))
    about: dict[str, Any] = {
        "name": name,
        "content_type": content_type,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    patiently(lambda: _insert(claim, id, path, about))
    return {"artifact": str(id), **about}


def _masked(data: bytes, content_type: str) -> bytes:
    """Return text without secrets; what is not text by its type stays as it is."""
    if not content_type.startswith("text/") and "json" not in content_type:
        return data
    try:
        text = bytes(data).decode()
    except UnicodeDecodeError:
        return data
    masked = mask(text)
    return data if masked == text else masked.encode()


def _insert(claim: Claim, id: uuid.UUID, path: str, about: dict[str, Any]) -> None:
    kept = {
        "execution_id": claim.execution_id,
        "node_run_id": claim.run_id,
        "node": claim.key.node,
        "index": claim.key.index,
        "attempt": claim.attempt,
        "path": path,
        "created_at": clock.now(connection.alias),
    }
    # Not create(): a commit whose answer was lost is found again, not doubled.
    models.Artifact.objects.get_or_create(id=id, defaults={**kept, **about})


def _check(name: str, data: bytes, content_type: str) -> None:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InvalidOption(option="artifact data", value=type(data).__name__, expected="bytes")
    for option, value, limit in (("name", name, NAME_LIMIT), ("content_type", content_type, TYPE_LIMIT)):
        printable = isinstance(value, str) and value.isprintable() and 0 < len(value) <= limit
        if not printable or ("/" in value and option == "name"):
            expected = f"a printable text of 1 to {limit} characters" + (
                " without /" if option == "name" else ""
            )
            raise InvalidOption(option=f"artifact {option}", value=value, expected=expected)


def read(claim: Claim, reference: Any) -> bytes:
    """Return the bytes of an artifact of this execution, of one that it was forked from, or of its family.

    Raises UnknownArtifact.
    """
    id = reference.get("artifact") if isinstance(reference, dict) else reference
    try:
        row = patiently(lambda: models.Artifact.objects.get(pk=uuid.UUID(str(id))))
    except (ValueError, models.Artifact.DoesNotExist):
        raise UnknownArtifact(id=id) from None
    if not patiently(lambda: _is_of_line(claim.execution_id, row.execution_id)):
        raise UnknownArtifact(id=id)
    with default_storage.open(row.path) as file:
        data: bytes = file.read()
    return data


def _is_of_line(execution: uuid.UUID, wanted: uuid.UUID) -> bool:
    """Say whether `wanted` is the execution, one whose results it has taken over, or started like it by one above."""
    at: uuid.UUID | None = execution
    while at is not None and at != wanted:
        at = models.Execution.objects.values_list("forked_from_id", flat=True).get(pk=at)
    return at is not None or queries.family_of(execution) == queries.family_of(wanted)
