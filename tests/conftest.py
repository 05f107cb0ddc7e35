"""Fixtures for everyone: which database, where files go, what a child process must know."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import override_settings

from security.testing import flushable
from tests.cluster import crew  # noqa: F401 - a fixture
from tests.databases import url_of

# A busy machine makes any example slow now and then; that is no finding. The checks try the same examples each time, so
# that whether a change passes is no matter of luck; `pytest --hypothesis-profile search` looks for others, for longer.
hypothesis.settings.register_profile("igon7", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None, max_examples=6000, print_blob=True)
hypothesis.settings.load_profile("igon7")

_ONLY_ON = {"postgres": "postgresql", "sqlite": "sqlite"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked for the other database. Raises UsageError for a test that runs `once` and uses either."""
    for item in items:
        if item.get_closest_marker("once") and _uses_the_database(item):
            raise pytest.UsageError(f"{item.nodeid} is marked `once`, and uses the database of the run")
        for marker, vendor in _ONLY_ON.items():
            if item.get_closest_marker(marker) and connection.vendor != vendor:
                item.add_marker(pytest.mark.skip(reason=f"needs {vendor}"))


def _uses_the_database(item: pytest.Item) -> bool:
    asked = getattr(item, "fixturenames", ())
    return item.get_closest_marker("django_db") is not None or "django_db_setup" in asked


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Put SQLite's test database in a file: threads and child processes open it too."""
    if connection.vendor == "sqlite":
        name = tmp_path_factory.mktemp("database") / "igon7.sqlite3"
        connection.settings_dict["TEST"]["NAME"] = str(name)


@pytest.fixture(scope="session", autouse=True)
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep a run's files out of var/, and its password hashes cheap; the folder stands in for var/."""
    var = tmp_path_factory.mktemp("var")
    cheap = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    with override_settings(MEDIA_ROOT=var / "media", PASSWORD_HASHERS=cheap), flushable():
        yield var


@pytest.fixture
def child_environment(transactional_db: None, apart: Path) -> dict[str, str]:
    """The environment for `manage.py …` as a child process that shares this test's database and files."""
    return {
        **os.environ,
        "DATABASE_URL": url_of(connection.settings_dict),
        "IGON7_VAR": str(apart),
        "IGON7_SECRET_KEY": settings.SECRET_KEY,
        "IGON7_SECRET_KEYS": ",".join(settings.IGON7_SECRET_KEYS),
        "IGON7_ENV_FILE": os.devnull,
        "IGON7_NO_VENV": "1",
    }
