"""Logins and logouts go into the audit through Django's signals: every door sends them, the admin's too."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models import Model
from django.dispatch import receiver
from django.http import HttpRequest

from security import audit
from security.models import AuditRecord
from security.principals import Principal

LOGIN, LOGOUT = "session.login", "session.logout"


@receiver(user_logged_in)
def logged_in(request: HttpRequest, user: AbstractUser, **_: Any) -> None:
    """Record a login."""
    audit.record(Principal.for_user(user, request), LOGIN, user)


@receiver(user_logged_out)
def logged_out(request: HttpRequest, user: AbstractUser | None, **_: Any) -> None:
    """Record a logout, when somebody was logged in."""
    if user is not None:
        audit.record(Principal.for_user(user, request), LOGOUT, user)


@receiver(user_login_failed)
def login_failed(credentials: Mapping[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Record a failed login, on the account it was tried on."""
    audit.record(Principal.anonymous(request), LOGIN, _account(credentials), AuditRecord.Outcome.FAILED)


def _account(credentials: Mapping[str, Any]) -> Model | None:
    # A name that is no account is not kept: often it is a password typed into the wrong box.
    people = get_user_model()
    name = str(credentials.get(people.USERNAME_FIELD, "")).replace("\0", "")
    return people._default_manager.filter(**{people.USERNAME_FIELD: name}).first()
