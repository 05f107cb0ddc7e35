"""People, and a browser without a screen."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestration.engine.builder import Workflow
from orchestration.store import versions
from orchestration.web.pictures import layout_of
from tests import factories


@pytest.fixture(autouse=True)
def remember_no_rows() -> Iterator[None]:
    """Forget the versions of the test before: their rows are gone, and their numbers come again."""
    versions.forget_versions()
    layout_of.cache_clear()
    yield
    versions.forget_versions()


@pytest.fixture
def alice(db: None) -> User:
    return factories.person("alice")


@pytest.fixture
def guest(db: None) -> User:
    """Somebody who may log in and nothing else."""
    return factories.person("guest", staff=False)


@pytest.fixture
def console(alice: User) -> Client:
    """Alice's browser."""
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def etl() -> Workflow:
    return factories.make_workflow()
