"""DATABASE_URL as Django's DATABASES entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote

from igon7site.env import EnvError, split

_ROOT = Path(__file__).resolve().parents[2]
_POSTGRES = ("postgres", "postgresql")
# WAL: readers do not wait for the writer. NORMAL: a commit survives the death of every process, for the
# system holds it; a power cut may take back the last ones, in order and never half. With FULL
# (?synchronous=full) each commit waits for the disk.
_SQLITE_INIT = "PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous}; PRAGMA foreign_keys=ON"


def database(url: str) -> dict[str, Any]:
    """Return the settings for a postgres:// or sqlite:/// URL. Raises EnvError."""
    parts = split("DATABASE_URL", url, (*_POSTGRES, "sqlite"))
    return _sqlite(parts) if parts.scheme == "sqlite" else _postgres(parts)


def _sqlite(parts: SplitResult) -> dict[str, Any]:
    options = _query(parts)
    synchronous = options.pop("synchronous", "normal").upper()
    if parts.netloc or not parts.path.strip("/"):
        raise EnvError(
            "DATABASE_URL: an SQLite URL has three slashes and a path, as in sqlite:///var/igon7.sqlite3."
        )
    if options or synchronous not in {"NORMAL", "FULL"}:
        raise EnvError(
            "DATABASE_URL: an SQLite URL takes one option, synchronous=normal or synchronous=full."
        )
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(_ROOT / unquote(parts.path[1:])),  # an absolute path stays itself
        "OPTIONS": {
            # A transaction takes the write lock when it begins: one that upgrades later can only fail.
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": _SQLITE_INIT.format(synchronous=synchronous),
        },
    }


def _postgres(parts: SplitResult) -> dict[str, Any]:
    options = _query(parts)
    name = unquote(parts.path[1:]) or options.pop("dbname", "")
    if not name:
        raise EnvError(
            "DATABASE_URL: the database's name is missing, as in postgres://user:password@host:5432/igon7."
        )
    # A percent-escaped socket folder is the host (…@%2Frun%2Fpostgresql/igon7), or ?host=/run/postgresql.
    host = (
        unquote(parts.netloc.rpartition("@")[2].partition(":")[0]) if "%" in parts.netloc else parts.hostname
    )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or options.pop("user", "")),
        "PASSWORD": unquote(parts.password or options.pop("password", "")),
        "HOST": options.pop("host", "") or host or "",
        "PORT": str(parts.port or options.pop("port", "")),
        # One lasting connection per thread: connecting costs many times what a settle costs. asgi.py, whose
        # threads last as long as a request, takes them from a pool instead.
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"application_name": "igon7", "prepare_threshold": 5, **options},
    }


def _query(parts: SplitResult) -> dict[str, Any]:
    try:
        return dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise EnvError("DATABASE_URL: what follows the ? must be name=value pairs joined by &.") from None
