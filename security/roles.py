"""The roles that igon7 ships: Django groups, made by `migrate`, with the permissions that apps say they have.

What an operator takes from a role, or gives to it, stays so: each permission is given to its role once.
"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import router
from django.db.models.signals import post_migrate

VIEWER, OPERATOR, APPROVER, ADMIN, AUDITOR = "viewer", "operator", "approver", "admin", "auditor"
ROLES = (VIEWER, OPERATOR, APPROVER, ADMIN, AUDITOR)

_given: dict[str, set[str]] = {role: set() for role in ROLES}  # role -> "app.codename"


def give(app: str, codename: str, *roles: str) -> None:
    """Say that roles have a permission of an app; called when the app is ready, before anything migrates."""
    for role in roles:
        _given[role].add(f"{app}.{codename}")


def permissions_of(role: str) -> frozenset[str]:
    """Return the permissions that the role is shipped with; an admin may do everything besides."""
    return frozenset(_given[role])


def connect() -> None:
    """Have the roles kept by `migrate`."""
    post_migrate.connect(_keep, dispatch_uid="security.roles")


def _keep(app_config: AppConfig, using: str, apps: Any = installed, **_: Any) -> None:
    wanted = {role: {name for name in given if name.startswith(f"{app_config.label}.")}
              for role, given in _given.items()}  # fmt: skip
    if not any(wanted.values()) or not router.allow_migrate_model(using, Group) or not _is_there(apps):
        return
    # Ours may be asked before Django's own, which makes them.
    create_permissions(app_config, verbosity=0, interactive=False, using=using, apps=apps)
    for role, names in wanted.items():
        _give(role, names, using)


def _is_there(apps: Any) -> bool:
    try:
        return bool(apps.get_model("security", "Role"))
    except LookupError:  # a migration to before there were roles
        return False


def _give(role: str, names: set[str], using: str) -> None:
    from security.models import Role

    group, _ = Group.objects.using(using).get_or_create(name=role)
    row, _ = Role.objects.using(using).get_or_create(group=group, defaults={"everything": role == ADMIN})
    new = sorted(names - set(row.given))
    if not new:
        return
    for name in new:
        app, _dot, codename = name.partition(".")
        found = Permission.objects.using(using).filter(content_type__app_label=app, codename=codename)
        group.permissions.add(*found)
    row.given = sorted({*row.given, *new})
    row.save(using=using)
