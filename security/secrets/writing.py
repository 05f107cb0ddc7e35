"""Changing secrets: each act authorised, then done and recorded in one transaction. No value is ever given back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from security import audit
from security.actions import SECRET_CHANGE
from security.objects import Resource
from security.policies import authorise
from security.principals import Principal
from security.secret_models import NAME, Secret, SecretVersion
from security.secrets import keyring
from security.secrets.backends import checked
from security.secrets.errors import SecretError


def put(
    principal: Principal,
    name: str,
    value: str,
    *,
    description: str | None = None,
    workflows: Sequence[str] | None = None,
    tags: Sequence[str] | None = None,
    rotate_days: int | None = None,
) -> SecretVersion:
    """Keep the value as the newest version, of a new secret where there is none; what is None stays as it is.

    Raises Denied, and SecretError for a name or value that cannot be.
    """
    if not re.match(NAME, name):
        raise SecretError("A secret's name is 1 to 100 letters, digits, - and _, the first no sign.")
    checked(value, name)
    known = Secret.objects.filter(name=name).first()
    authorise(principal, SECRET_CHANGE, known or Resource("security.secret", "", name))
    about: dict[str, Any] = {"description": description, "workflows": workflows, "tags": tags}
    about = {key: given for key, given in {**about, "rotate_days": rotate_days}.items() if given is not None}
    with transaction.atomic():
        row, made = Secret.objects.get_or_create(name=name)
        row = Secret.objects.select_for_update().get(pk=row.pk)
        for key, given in about.items():
            setattr(row, key, list(given) if key in ("workflows", "tags") else given)
        row.save()
        version = _add(row, value, principal)
        audit.record(
            principal, "secret.set", row, details={**about, "version": version.number, "created": made}
        )
    return version


def _add(row: Secret, value: str, principal: Principal) -> SecretVersion:
    last = row.versions.first()
    number = last.number + 1 if last is not None else 1
    ciphertext, key = keyring.encrypt(value, row.pk, number)
    return SecretVersion.objects.create(
        secret=row,
        number=number,
        ciphertext=ciphertext,
        key_fingerprint=key,
        created_by=principal.name[:200],
    )


def disable(principal: Principal, row: Secret, number: int) -> None:
    """Disable a version: from now on the one before it is read. Raises Denied, SecretError."""
    authorise(principal, SECRET_CHANGE, row)
    with transaction.atomic():
        found = row.versions.filter(number=number, disabled_at=None).update(disabled_at=timezone.now())
        if not found:
            raise SecretError(f"The secret “{row.name}” has no version {number} that is not disabled.")
        audit.record(principal, "secret.disable", row, details={"version": number})


def delete(principal: Principal, row: Secret) -> None:
    """Delete the secret with its versions and grants. Raises Denied."""
    authorise(principal, SECRET_CHANGE, row)
    with transaction.atomic():
        audit.record(principal, "secret.delete", row)
        row.delete()
