"""What `up` does before anything runs: the tables, the administrator, the only-one lock."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

_MIGRATING = 0x69676F6E37  # "igon7": the advisory lock under which one process migrates


@contextmanager
def only_one_here() -> Iterator[None]:
    """Hold the embedded database for one `up`. Raises CommandError that names the process which has it."""
    if connection.vendor != "sqlite":
        yield
        return
    import fcntl

    with Path(f"{connection.settings_dict['NAME']}.up").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CommandError(
                f"igon7 is already up on this database (process {lock.read().strip()}). Stop that one first, "
                "or give this one a database of its own with DATABASE_URL."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def database_name() -> str:
    """Return the database as people know it; never its password."""
    known = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"SQLite {os.path.relpath(known['NAME'])}"
    return f"PostgreSQL {known['NAME']} on {known['HOST'] or 'the local socket'}"


def migrate() -> int:
    """Bring the tables up to date and return how many migrations that took. Raises CommandError."""
    try:
        with _migrating_alone():
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
            if plan:
                call_command("migrate", verbosity=0, interactive=False)
            return len(plan)
    except OperationalError as error:
        reason = str(error).strip()
        raise CommandError(f"The database, {database_name()}, cannot be used: {reason}") from None


@contextmanager
def _migrating_alone() -> Iterator[None]:
    """On PostgreSQL, where several machines may start at once, one migrates and the others find it done."""
    connection.ensure_connection()
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_MIGRATING])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATING])


def make_administrator() -> str | None:
    """Make the user admin and return its password, or None when there is an administrator already."""
    users = get_user_model()._default_manager
    with transaction.atomic():
        if users.filter(is_superuser=True).exists():
            return None
        if users.filter(username="admin").exists():
            raise CommandError(
                "There is no administrator, and the name admin is taken. Make one: manage.py createsuperuser"
            )
        password = secrets.token_urlsafe(12)
        users.create_superuser("admin", password=password)
    return password


def allowed_name() -> str:
    """Return a Host name that this installation answers to."""
    return next((name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"), "localhost")
