"""`ctx.storage`: values that bodies share, each call answered once and given again on a replay."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection

from orchestration.engine import state as rules
from orchestration.engine.codec import dump_payload
from orchestration.engine.durations import Duration
from orchestration.store import journal, state
from orchestration.store.claim import Claim
from orchestration.store.journal import Entry
from orchestration.store.state import Change, Found, Place, Writer
from security.masking import mask


@dataclass(frozen=True, slots=True)
class Call:
    """A durable call on the state: how it is known in the journal, and what it does."""

    kind: str
    name: str
    once: Callable[[Claim, str], Entry | None]  # with the journal; None when the claim is ours no longer
    joined: Callable[[], str]  # as a part of the body's own transaction
    read: Callable[[Any], Any]  # what the body is given, from the JSON that the call gave


class Storage:
    """Values under keys, of this execution, of its workflow, or of all ("global"). In an async body, await each call.

    Each call raises InvalidOption for a key, scope, amount or time to live that cannot be, ReplayDiverged and
    NodeCancelled.
    """

    def __init__(self, claim: Claim, workflow: str, ask: Callable[[Call], Any]) -> None:
        self._claim, self._workflow, self._ask = claim, workflow, ask
        self._writer = Writer("", claim.execution_id, claim.key.node)

    def get(self, key: str, default: Any = None, *, scope: str = "execution") -> Any:
        """Return the value, or the default where there is none."""
        return self._find(key, scope, lambda found: found.value if found is not None else default)

    def entry(self, key: str, *, scope: str = "execution") -> Any:
        """Return the value with its version, as `.value` and `.version`; None where there is none."""
        return self._find(key, scope, lambda found: found)

    def keys(self, prefix: str = "", *, after: str = "", limit: int = 1000, scope: str = "execution") -> Any:
        """Return up to `limit` of the keys that begin like this and sort behind `after`, in their order."""
        place = self._place(scope, rules.check_prefix(prefix))
        after, limit = rules.check_prefix(after), rules.check_limit(limit)
        return self._read(
            "keys", place, lambda: json.dumps(state.keys(place, after, limit)), lambda given: given
        )

    def set(self, key: str, value: Any, *, ttl: Duration | None = None, scope: str = "execution") -> Any:
        """Set the value, for so long or for ever; return its version. Raises NotSerialisable, PayloadTooLarge."""
        return self._change("set", key, scope, self._text(key, value), ttl)

    def compare_and_set(
        self, key: str, value: Any, version: int, *, ttl: Duration | None = None, scope: str = "execution"
    ) -> Any:
        """Set the value if its version is still this one (0: if there is none); return the new version, or else None.

        Raises NotSerialisable, PayloadTooLarge.
        """
        version = rules.check_version(version)
        return self._change("set", key, scope, self._text(key, value), ttl, version)

    def incr(self, key: str, by: int = 1, *, ttl: Duration | None = None, scope: str = "execution") -> Any:
        """Add to a whole number, which begins at 0, and return the sum; without `ttl` it expires when it would.

        Raises NotCountable for another value, or a sum beyond 2**53.
        """
        return self._change("incr", key, scope, str(rules.check_amount(by)), ttl)

    def delete(self, key: str, *, scope: str = "execution") -> Any:
        """Delete the value; say whether there was one."""
        return self._change("delete", key, scope, read=lambda version: version is not None)

    # --- how ---------------------------------------------------------------------------------------

    def _place(self, scope: str, key: str) -> Place:
        owners = {rules.EXECUTION: str(self._claim.execution_id), rules.WORKFLOW: self._workflow}
        return Place(rules.check_scope(scope), owners.get(scope, ""), mask(key))

    def _text(self, key: str, value: Any) -> str:
        return dump_payload(value, f'The state "{rules.check_key(key)}"', settings.IGON7_STATE_LIMIT)

    def _find(self, key: str, scope: str, read: Callable[[Found | None], Any]) -> Any:
        place = self._place(scope, rules.check_key(key))
        return self._read(
            "get", place, lambda: _as_text(state.find(place)), lambda given: read(_found(given))
        )

    def _read(self, kind: str, place: Place, look: Callable[[], str], read: Callable[[Any], Any]) -> Any:
        def once(claim: Claim, key: str) -> Entry | None:
            entry = Entry(key, kind, journal.READ, look())
            return entry if journal.keep(claim, entry) else None

        return self._ask(Call(kind, _name(place), once, look, read))

    def _change(
        self,
        kind: str,
        key: str,
        scope: str,
        value: str = "null",
        ttl: Duration | None = None,
        version: int | None = None,
        read: Callable[[Any], Any] = lambda given: given,
    ) -> Any:
        place = self._place(scope, rules.check_key(key))
        asked = Change(kind, place, self._writer, value, rules.check_ttl(ttl), version)

        def once(claim: Claim, entry: str) -> Entry | None:
            return state.change_once(claim, entry, asked)

        return self._ask(Call(kind, _name(place), once, lambda: state.change(connection, asked), read))


def _name(place: Place) -> str:
    return f"{rules.STORAGE}{place.scope}/{place.key}"


def _as_text(found: Found | None) -> str:
    return json.dumps({"value": found.value, "version": found.version} if found is not None else None)


def _found(given: Any) -> Found | None:
    return Found(**given) if given is not None else None
