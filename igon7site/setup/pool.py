"""Database connections of a web process."""

from __future__ import annotations

from django.conf import settings
from django.db import connections


def borrow_connections() -> None:
    """Have each request borrow a connection and give it back.

    Under ASGI a request's thread ends with the request, and a lasting connection per thread would be
    opened for each and left behind. On PostgreSQL they come from a pool; on SQLite opening one is cheap.
    Call once, when the process serves nothing yet.
    """
    connections.close_all()
    for configured in connections.settings.values():
        configured["CONN_MAX_AGE"] = 0
        if configured["ENGINE"].endswith("postgresql"):
            configured["OPTIONS"]["pool"] = {
                "min_size": 1,
                "max_size": settings.IGON7_WEB_CONNECTIONS,
                "timeout": 10,
            }
