"""Sessions in the database that know whose they are, so that a person can see theirs and end them.

Django's own way to extend its database backend (docs: "Extending database-backed session engines").
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.utils.dateparse import parse_datetime

FROM, SEEN = "igon7_from", "igon7_seen"  # keys of what is told of a session


class SessionStore(DatabaseStore):
    """Writes the person, and where the session is used from, beside its data."""

    @classmethod
    def get_model_class(cls) -> Any:
        from security.models import UserSession

        return UserSession

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row: Any = super().create_model_instance(data)
        about = data.get(FROM, {})
        row.user_id = int(data[SESSION_KEY]) if SESSION_KEY in data else None
        row.address, row.user_agent = about.get("address") or None, about.get("agent", "")
        row.began_at, row.seen_at = _moment(about.get("at")), _moment(data.get(SEEN))
        return row


def _moment(text: str | None) -> Any:
    return parse_datetime(text) if text else None
