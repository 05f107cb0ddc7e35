"""Which executions a bulk act is about: named one by one, by a query of the list, or as a dry run has frozen them."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from django.conf import settings
from django.core import signing

from orchestration import queries
from orchestration.engine.errors import Igon7Error, InvalidOption
from orchestration.engine.graph import suggest
from orchestration.queries.filters import KEYS, ExecutionFilter
from security.principals import Principal

SALT = "igon7.bulk"
FRESH = 3600  # seconds for which what a dry run froze can be started
AT_ONCE = 500  # ids in one statement


class TooMany(Igon7Error):
    """The selection has more than {limit} executions, which is the most that one bulk act takes. Narrow it down."""

    code = "bulk_too_many"


class Chosen(NamedTuple):
    """One execution of a selection, as it is now."""

    id: uuid.UUID
    status: str
    workflow_id: int
    workflow: str
    version_id: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Either ids or a filter. `frozen` says that a dry run has found the verb possible for all of these ids."""

    ids: tuple[uuid.UUID, ...] = ()
    filter: ExecutionFilter | None = None
    frozen: bool = False
    query: str = ""  # the filter as the list's address has it; kept when the dry run has made ids of it

    @classmethod
    def of_ids(cls, ids: Iterable[Any]) -> Self:
        """Return the selection of these executions. Raises InvalidOption and TooMany."""
        found = tuple(dict.fromkeys(_uuid(each) for each in ids))
        if len(found) > settings.IGON7_BULK_LIMIT:
            raise TooMany(limit=settings.IGON7_BULK_LIMIT)
        return cls(ids=found)

    @classmethod
    def of_query(cls, query: Any) -> Self:
        """Return the selection of what the list shows for this query. Raises InvalidOption, also for an unknown key."""
        if not isinstance(query, Mapping) or not all(map(_is_text, query.values())):
            raise InvalidOption(
                option="filter", value=query, expected='an object such as {"status": ["failed"]}'
            )
        for key in query:
            if key not in KEYS:
                # The list would show everything for it, and everything would be acted on.
                expected = f"a filter of the list of executions. {suggest(key, KEYS)}"
                raise InvalidOption(option="filter", value=key, expected=expected)
        filter = ExecutionFilter.from_query(query)
        return cls(filter=filter, query=filter.to_query())

    @classmethod
    def thaw(cls, text: str, verb: str, principal: Principal) -> Self:
        """Return what `freeze` made, for the same verb and person. Raises InvalidOption."""
        try:
            kept = signing.loads(text, salt=SALT, max_age=FRESH)
        except signing.BadSignature:
            kept = {}
        if (kept.get("verb"), kept.get("by")) != (verb, _who(principal)):
            expected = f"what a dry run of this verb gave you within the last {FRESH // 60} minutes"
            raise InvalidOption(option="selection", value=f"{text[:20]}…", expected=expected)
        data = base64.b64decode(kept["ids"])
        ids = tuple(uuid.UUID(bytes=data[at : at + 16]) for at in range(0, len(data), 16))
        return cls(ids=ids, frozen=True, query=kept["query"])

    def freeze(self, ids: Sequence[uuid.UUID], verb: str, principal: Principal) -> str:
        """Return these ids as a text that only this installation can make."""
        packed = base64.b64encode(b"".join(each.bytes for each in ids)).decode()
        kept = {"verb": verb, "by": _who(principal), "query": self.query, "ids": packed}
        return signing.dumps(kept, salt=SALT, compress=True)

    def rows(self, principal: Principal) -> list[Chosen]:
        """Return those that the principal may see, the oldest first. Raises TooMany."""
        limit = settings.IGON7_BULK_LIMIT
        if self.filter is None:
            found = [row for some in in_parts(self.ids, AT_ONCE) for row in _chosen(principal, pk__in=some)]
        else:
            found = _chosen(principal, self.filter, limit + 1)
        if len(found) > limit:
            raise TooMany(limit=limit)
        return sorted(found)


def in_parts(ids: Sequence[uuid.UUID], size: int) -> Iterator[Sequence[uuid.UUID]]:
    """Yield the ids, so many at a time."""
    return (ids[at : at + size] for at in range(0, len(ids), size))


def _chosen(
    principal: Principal, filters: ExecutionFilter | None = None, limit: int = AT_ONCE, **lookups: Any
) -> list[Chosen]:
    rows = queries.executions(principal, filters).filter(**lookups)
    columns = ("id", "status", "workflow_id", "workflow__name", "version_id")
    return [Chosen(*row) for row in rows.values_list(*columns)[:limit]]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(each, str) for each in value)
    )


def _who(principal: Principal) -> str:
    return f"{principal.user_id or principal.id}"


def _uuid(value: Any) -> uuid.UUID:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise InvalidOption(option="ids", value=str(value)[:80], expected="ids of executions") from None
