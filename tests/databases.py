"""A Django database entry as the DATABASE_URL that gives it."""

from typing import Any
from urllib.parse import quote, urlencode


def url_of(entry: dict[str, Any]) -> str:
    """Return the URL under which another process opens the same database."""
    if entry["ENGINE"].endswith("sqlite3"):
        return f"sqlite:///{quote(str(entry['NAME']))}"
    who = ":".join(quote(entry[part], safe="") for part in ("USER", "PASSWORD") if entry[part])
    where = {"host": entry["HOST"], "port": entry["PORT"]}
    query = urlencode({name: value for name, value in where.items() if value})
    return f"postgres://{who}@/{quote(entry['NAME'])}" + (f"?{query}" if query else "")
