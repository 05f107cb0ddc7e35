"""A cache for Django's CACHES that lies in a table of the one database, as JSON: all processes share it."""

from __future__ import annotations

import json
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connection

from orchestration.store import clock
from orchestration.store.sql import execute, is_postgres

from .lightly import returning

_TABLE = "orchestration_cachedvalue"


class TableCache(BaseCache):
    """Django's cache API over `CachedValue`. What is no JSON is refused with TypeError; nothing is ever pickled."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        text = f"SELECT value FROM {_TABLE} WHERE key = %s AND {self._valid()}"
        found = execute(connection, text, [self._key(key, version)])
        return json.loads(found[0][0]) if found else default

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._put(key, value, timeout, version, "")

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return self._put(key, value, timeout, version, f"WHERE NOT {self._valid(f'{_TABLE}.')}")

    def _put(self, key: Any, value: Any, timeout: Any, version: int | None, where: str) -> bool:
        until, seconds = self._until(timeout)
        text = f"""
            INSERT INTO {_TABLE} (key, value, expires_at) VALUES (%s, %s, {until})
            ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at {where}
            {returning(connection, "key")}
        """
        written = json.dumps(value, separators=(",", ":"))
        return bool(execute(connection, text, [self._key(key, version), written, *seconds]))

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        until, seconds = self._until(timeout)
        text = f"UPDATE {_TABLE} SET expires_at = {until} WHERE key = %s AND {self._valid()} RETURNING key"
        return bool(execute(connection, text, [*seconds, self._key(key, version)]))

    def delete(self, key: Any, version: int | None = None) -> bool:
        text = f"DELETE FROM {_TABLE} WHERE key = %s RETURNING key"
        return bool(execute(connection, text, [self._key(key, version)]))

    def has_key(self, key: Any, version: int | None = None) -> bool:
        return self.get(key, self, version) is not self

    def clear(self) -> None:
        execute(connection, f"DELETE FROM {_TABLE}", [])

    def _key(self, key: Any, version: int | None) -> str:
        return str(self.make_and_validate_key(key, version=version))

    def _until(self, timeout: Any) -> tuple[str, list[float]]:
        """Return the expression for when the value's time is over, and its parameters: its text must not vary."""
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        if seconds is None:
            return "NULL", []
        if not is_postgres(connection):
            return clock.sql(connection, float(seconds)), []
        return f"{clock.sql(connection)} + %s * interval '1 s'", [float(seconds)]

    @staticmethod
    def _valid(of: str = "") -> str:
        return f"({of}expires_at IS NULL OR {of}expires_at > {clock.sql(connection)})"


def forget_expired() -> None:
    """Delete the values whose time is over."""
    execute(connection, f"DELETE FROM {_TABLE} WHERE expires_at <= {clock.sql(connection)}", [])
