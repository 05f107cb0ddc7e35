"""A system check: a view that nobody has guarded stops the start."""

from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

from django.contrib.admin import AdminSite
from django.core import checks
from django.db import DatabaseError
from django.urls import URLPattern, URLResolver, get_resolver

from security.actions import declared
from security.api.permissions import ActionPermission
from security.errors import UnknownAction
from security.web.guard import MARK

ADMIN_VIEW = "AdminSite.admin_view.<locals>.inner"


@checks.register(checks.Tags.security, checks.Tags.urls)
def every_view_is_guarded(**_: Any) -> list[checks.CheckMessage]:
    """Return an error for each URL whose view wears neither `requires` nor `public`."""
    return [*_errors(get_resolver().url_patterns)]


def _errors(patterns: list[Any], prefix: str = "/") -> Iterator[checks.CheckMessage]:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _errors(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            problem = _problem(pattern.callback)
            if problem:
                yield checks.Error(
                    f'The view of "{route}" {problem}', hint=_hint(pattern.callback), id="security.E001"
                )


def _problem(view: Callable[..., Any]) -> str | None:
    api_view = getattr(view, "cls", None)
    if api_view is not None:
        return _api_problem(api_view, getattr(view, "initkwargs", {}), getattr(view, "actions", None))
    if hasattr(view, MARK) or _is_of_the_admin(view):
        return None
    return "asks security nothing."


def _api_problem(cls: Any, options: dict[str, Any], routed: dict[str, str] | None) -> str | None:
    classes = options.get("permission_classes", cls.permission_classes)
    if not any(isinstance(each, type) and issubclass(each, ActionPermission) for each in classes):
        return "has no ActionPermission among its permission_classes."
    actions: dict[str, str] = options.get("required_actions", getattr(cls, "required_actions", {}))
    handled = (
        set(routed.values())
        if routed
        else {m for m in cls.http_method_names if hasattr(cls, m)} - {"options"}
    )
    missing = sorted(handled - set(actions))
    if missing:
        return f"does not say in required_actions what {', '.join(missing)} requires."
    return next(
        (f'requires "{name}", which nobody declared.' for name in actions.values() if not _known(name)), None
    )


def _known(name: str) -> bool:
    try:
        return bool(declared(name))
    except UnknownAction:
        return False


def _is_of_the_admin(view: Any) -> bool:
    """Whether the admin asks for a staff login first: its own pages, and what goes through `admin_view`."""
    if isinstance(getattr(view, "__self__", None), AdminSite):
        return True  # its login page
    return hasattr(view, "admin_site") or hasattr(view, "model_admin") or _closes_over_admin_view(view)


def _closes_over_admin_view(view: Any) -> bool:
    # admin_view leaves no mark, and its __wrapped__ skips itself: only the closures lead to it.
    seen, waiting = set(), [view]
    while waiting:
        function = waiting.pop()
        if not isinstance(function, FunctionType) or function in seen:
            continue
        if function.__code__.co_qualname == ADMIN_VIEW:
            return True
        seen.add(function)
        waiting += [cell.cell_contents for cell in function.__closure__ or ()]
    return False


def _hint(view: Any) -> str:
    if hasattr(view, "cls"):
        return (
            "Give it permission_classes = [ActionPermission] and required_actions (security.api.permissions)."
        )
    return "Decorate it with requires(action) or public(why) from security.web.guard."


@checks.register(checks.Tags.database)
def every_secret_can_be_read(databases: Any = None, **_: Any) -> list[checks.CheckMessage]:
    """Return an error that names the secrets whose key is not there; asked by `migrate` and `check --database`."""
    from security.secrets import rotation
    from security.secrets.errors import KeyMissing

    try:
        rows = rotation.unreadable() if databases else []
    except KeyMissing as error:
        return [checks.Error(str(error), id="security.E002")]
    except DatabaseError:  # before the first migrate
        return []
    named = ", ".join(f"“{row.secret.name}” {row.number} (key {row.key_fingerprint})" for row in rows)
    return (
        [
            checks.Error(
                f"No key opens these secrets: {named}.",
                hint="Put their keys back into IGON7_SECRET_KEYS.",
                id="security.E002",
            )
        ]
        if rows
        else []
    )
