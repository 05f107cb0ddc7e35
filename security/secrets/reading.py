"""Reading a secret for a workflow: may it, what is the value, and the record that it was read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction
from django.utils import timezone

from security import audit, masking
from security.actions import SECRET_USE, SECRET_VIEW
from security.models import AuditRecord
from security.objects import Resource
from security.policies import allowed
from security.principals import Principal
from security.secret_models import Secret, SecretUse
from security.secrets import backends

FRESH = dt.timedelta(minutes=1)


class Hidden(LookupError):
    """There is no such secret, or none that the principal may know of."""


class Refused(PermissionError):
    """The principal knows of the secret and may not use it here. `str()` says why."""


class Reader(NamedTuple):
    """Who reads: for whom, in which workflow, and what else the audit is to say."""

    principal: Principal
    workflow: str
    tags: Sequence[str]
    about: Mapping[str, Any]


def read(name: str, reader: Reader) -> str:
    """Return the value, which is masked from now on in this process. Raises Hidden, Refused, SecretError.

    The record is written before the value is given. Denials are recorded.
    """
    row = Secret.objects.filter(name=name).first()
    subject = row if row is not None else Resource("security.secret", "", name)
    try:
        _check(row, subject, reader)
    except (Hidden, Refused):
        audit.record(reader.principal, SECRET_USE, subject, AuditRecord.Outcome.DENIED, reader.about)
        raise
    found = backends.find(name)
    if found is None:
        raise Hidden
    masking.learn(found.text)
    with transaction.atomic():
        audit.record(
            reader.principal, SECRET_USE, subject, details={**reader.about, "version": found.version}
        )
        _note(name, reader.workflow)
    return found.text


def _check(row: Secret | None, subject: Secret | Resource, reader: Reader) -> None:
    principal = reader.principal.as_now()
    if not allowed(principal, SECRET_USE, subject):
        if not allowed(principal, SECRET_VIEW, subject):
            raise Hidden
        raise Refused(f"{principal.name} may not use it.")
    if row is not None and not row.admits(reader.workflow, list(reader.tags)):
        raise Refused(f"it is not for the workflow “{reader.workflow}”.")


def _note(name: str, workflow: str) -> None:
    """Note the use, at most once a minute: a row that every execution wrote would be what they all wait for."""
    now = timezone.now()
    row = SecretUse.objects.filter(name=name, workflow=workflow).first()
    if row is not None and now - row.last_at < FRESH:
        return
    if row is not None:
        SecretUse.objects.filter(pk=row.pk, last_at=row.last_at).update(last_at=now)
        return
    try:
        with transaction.atomic():
            SecretUse.objects.create(name=name, workflow=workflow, last_at=now)
    except IntegrityError:
        pass  # somebody else has noted the same
