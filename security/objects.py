"""Which models are guarded: the permission behind each action, and what a person may see.

Apps above register their models here, so that `security` need not know them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model, QuerySet

from security.actions import declared

VisibleTo: TypeAlias = Callable[[AbstractUser, QuerySet[Any]], QuerySet[Any]]


class Resource(NamedTuple):
    """What an act is done to, when there is no row for it (or only its name is known)."""

    type: str
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Guard:
    """How one model is guarded; `holder` leads from its row to the row that carries the grants."""

    label: str
    permissions: Mapping[str, str]
    visible_to: VisibleTo
    holder: Callable[[Any], Model]


_guards: dict[str, Guard] = {}


def register(
    model_label: str,
    actions: Mapping[str, str],
    visible_to: VisibleTo,
    holder: Callable[[Any], Model] = lambda row: row,
) -> None:
    """Guard a model ("app.Model"): `actions` maps each action to a permission codename of that app.

    `visible_to(user, queryset)` narrows a queryset to what the person may view; it is asked only about
    active people who may not do everything. `holder(row)` gives the row that grants are made on, when it is another.
    Raises UnknownAction, and ImproperlyConfigured when the model or a different permission is registered.
    """
    app, label = model_label.split(".")[0], model_label.lower()
    if label in _guards:
        raise ImproperlyConfigured(f'"{model_label}" is registered with security.objects twice.')
    permissions = {declared(action).name: f"{app}.{codename}" for action, codename in actions.items()}
    for action, permission in permissions.items():
        if permission_for(action) not in (None, permission):
            known = permission_for(action)
            raise ImproperlyConfigured(f'"{action}" already asks for {known}, not {permission}.')
    _guards[label] = Guard(label, permissions, visible_to, holder)


def guard_of(model: type[Model]) -> Guard | None:
    """Return how a model is guarded; None when nobody has registered it."""
    return _guards.get(model._meta.label_lower)


def permission_for(action: str) -> str | None:
    """Return the permission ("app.codename") an action asks for; None when no model registered it."""
    return next(
        (guard.permissions[action] for guard in _guards.values() if action in guard.permissions), None
    )


def describe(obj: Model | Resource) -> Resource:
    """Return type, id and name of what an act is done to."""
    if isinstance(obj, Resource):
        return obj
    return Resource(obj._meta.label_lower, str(obj.pk), str(obj))
