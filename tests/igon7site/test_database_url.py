"""DATABASE_URL: every form it may take, and how wrong ones are refused."""

import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from hypothesis import given
from hypothesis import strategies as st

from igon7site.env import EnvError
from igon7site.setup.database import database
from tests.databases import url_of

_TEXT = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20)


def _place(url: str) -> tuple[Any, ...]:
    return tuple(database(url)[part] for part in ("NAME", "USER", "PASSWORD", "HOST", "PORT"))


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgres://ann:pw@db.local:5433/igon7", ("igon7", "ann", "pw", "db.local", "5433")),
        ("postgresql://db/igon7", ("igon7", "", "", "db", "")),
        ("postgres://ann:p%40%2F%3Aw@db/ig%20on", ("ig on", "ann", "p@/:w", "db", "")),
        ("postgres://ann@%2Frun%2Fpostgresql/igon7", ("igon7", "ann", "", "/run/postgresql", "")),
        ("postgres://ann@%2Frun%2FPG:5433/igon7", ("igon7", "ann", "", "/run/PG", "5433")),
        ("postgres:///igon7?host=/run/postgresql&user=ann", ("igon7", "ann", "", "/run/postgresql", "")),
        ("postgres://ann@[::1]:5432/igon7", ("igon7", "ann", "", "::1", "5432")),
    ],
)
def test_a_postgres_url_says_where(url: str, place: tuple[str, ...]) -> None:
    assert _place(url) == place


def test_what_follows_the_question_mark_goes_to_the_driver() -> None:
    options = database("postgres://h/d?sslmode=require&connect_timeout=3&application_name=mine")["OPTIONS"]
    assert options["sslmode"] == "require"
    assert options["connect_timeout"] == "3"
    assert options["application_name"] == "mine"


@given(_TEXT, _TEXT, _TEXT)
def test_a_percent_escaped_url_is_read_back_exactly(user: str, password: str, name: str) -> None:
    entry = database("postgres://h/d") | {"USER": user, "PASSWORD": password, "NAME": name}
    assert _place(url_of(entry)) == (name, user, password, "h", "")


def test_a_sqlite_path_is_relative_to_the_project_or_absolute() -> None:
    assert database("sqlite:///var/x.sqlite3")["NAME"] == str(settings.BASE_DIR / "var/x.sqlite3")
    assert database("sqlite:////tmp/a%20b.sqlite3")["NAME"] == "/tmp/a b.sqlite3"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://h/d", "postgres://"),
        ("postgres://h", "name is missing"),
        ("postgres://h:many/d", "DATABASE_URL is"),
        ("postgres://h/d?sslmode", "name=value"),
        ("sqlite://x.sqlite3", "three slashes"),
        ("sqlite:///", "three slashes"),
        ("sqlite:///x?synchronous=off", "synchronous=normal"),
        ("sqlite:///x?cache=shared", "one option"),
        ("igon7.sqlite3", "DATABASE_URL is"),
    ],
)
def test_a_wrong_url_is_refused_with_what_to_write_instead(url: str, says: str) -> None:
    with pytest.raises(EnvError, match=says):
        database(url)


@pytest.mark.sqlite
def test_sqlite_runs_in_wal_mode_with_a_patient_writer(transactional_db: None) -> None:
    from django.db import connection

    def pragma(name: str) -> Any:
        with connection.cursor() as cursor:
            return cursor.execute(f"PRAGMA {name}").fetchone()[0]

    assert [pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys")] == ["wal", 1, 1]
    assert pragma("busy_timeout") >= 20_000


def test_a_child_process_opens_the_same_database(child_environment: dict[str, str]) -> None:
    get_user_model()._default_manager.create_user("ann")
    code = "from django.contrib.auth.models import User; print(list(User.objects.values_list('username')))"
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", code]
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, env=child_environment, text=True, capture_output=True
    )
    assert done.stdout.strip() == "[('ann',)]", done.stderr
