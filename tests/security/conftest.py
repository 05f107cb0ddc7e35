"""People, and a model that is guarded the way an app above guards its own: groups stand for it."""

from collections.abc import Iterator
from unittest import mock

import pytest
from django.contrib.auth.models import Group, User
from guardian.shortcuts import get_objects_for_user

from security import actions, objects
from security.roles import ADMIN


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", password="wonderland")


@pytest.fixture
def staff(db: None) -> User:
    """Return somebody who may do everything, in the admin too."""
    user = User.objects.create_user("sam", password="wonderland", is_staff=True)
    user.groups.add(Group.objects.get(name=ADMIN))
    return user


@pytest.fixture
def group(db: None) -> Group:
    return Group.objects.create(name="planners")


@pytest.fixture
def guarded_groups() -> Iterator[None]:
    with mock.patch.dict(actions._declared), mock.patch.dict(objects._guards):
        actions.declare("group.view", "view groups")
        actions.declare("group.change", "change groups")
        objects.register(
            "auth.Group",
            {"group.view": "view_group", "group.change": "change_group"},
            visible_to=lambda user, rows: get_objects_for_user(user, "auth.view_group", rows),
        )
        yield
