"""Results in one of Django's caches, as signed JSON texts. A store that is away is left alone for a while."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from django.core import signing
from django.core.cache import InvalidCacheBackendError, caches

from orchestration.engine.errors import NodeCancelled, NodeTimeout

PAUSE = 5.0  # seconds for which nobody in this process asks a store that could not be reached
_SALT = "orchestration.caching"
_away: dict[str, tuple[float, str]] = {}  # by alias: until when (monotonic), and why
T = TypeVar("T")


class StoreAway(Exception):
    """A store could not be asked; its text says why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A result, which execution it is of, and when it was kept (ISO 8601)."""

    value: Any
    execution: str
    at: str


def get(alias: str, key: str) -> Kept | None:
    """Return what the store has under the key; None for what it has not, or what is not ours. Raises StoreAway."""
    text = _ask(alias, lambda: caches[alias].get(key))
    return _read(key, text) if isinstance(text, str) else None


def put(alias: str, key: str, result: str, execution: str, at: str, ttl: float) -> None:
    """Keep a result (JSON text) for `ttl` seconds. Raises StoreAway."""
    about = json.dumps({"execution": execution, "at": at})
    text = _signer(key).sign(f'{about[:-1]},"value":{result}}}')
    _ask(alias, lambda: caches[alias].set(key, text, ttl))


def forget(keys: Mapping[str, list[str]]) -> None:
    """Give back what invalidated entries take up, where their stores (by alias) can be reached."""
    for alias, own in keys.items():
        with suppress(StoreAway, InvalidCacheBackendError):
            _ask(alias, partial(caches[alias].delete_many, own))


def _signer(key: str) -> signing.Signer:
    # The key is signed along: who may write into a store, and nothing else, can neither forge nor swap results.
    return signing.Signer(salt=f"{_SALT}:{key}")


def _read(key: str, text: str) -> Kept | None:
    try:
        return Kept(**json.loads(_signer(key).unsign(text)))
    except (signing.BadSignature, ValueError, TypeError):
        return None


def _ask(alias: str, ask: Callable[[], T]) -> T:
    until, why = _away.get(alias, (0.0, ""))
    if time.monotonic() < until:
        raise StoreAway(why)
    try:
        return ask()
    except (NodeTimeout, NodeCancelled):  # the body's time is over; the store has done nothing wrong
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        _away[alias] = time.monotonic() + PAUSE, why
        raise StoreAway(why) from error
