"""Writing the audit: one INSERT in the caller's transaction, so that act and record commit together."""

import json
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from functools import cache
from ipaddress import ip_address
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from security.models import AuditRecord
from security.objects import Resource, describe
from security.principals import Principal

# Set for the length of a request by security.middleware.ContentSecurityPolicyMiddleware.
request_id: ContextVar[str] = ContextVar("request_id", default="")


def record(
    principal: Principal,
    action: str,
    resource: Model | Resource | None = None,
    outcome: str = AuditRecord.Outcome.ALLOWED,
    details: Mapping[str, Any] | None = None,
    *,
    using: str | None = None,
) -> AuditRecord:
    """Insert and return one audit record. `details` is what DjangoJSONEncoder encodes."""
    row = _row(principal, action, resource, outcome, details)
    row.save(using=using, force_insert=True)
    return row


def statement(
    connection: BaseDatabaseWrapper,
    principal: Principal,
    action: str,
    resources: Iterable[Resource],
    details: Mapping[str, Any] | None = None,
) -> tuple[str, list[Any]]:
    """Return the INSERT of one record for each resource, for whoever sends several statements together."""
    row = _row(principal, action, None, AuditRecord.Outcome.ALLOWED, details)
    fields = [field for field in AuditRecord._meta.concrete_fields if field.name in _COMMON]
    shared = [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
    about = [[_cut(column, text) for column, text in zip(_RESOURCE, on, strict=True)] for on in resources]
    return _statement_text(connection.vendor, tuple(field.column for field in fields)), [
        *shared,
        json.dumps(about),
    ]


_RESOURCE = ("resource_type", "resource_id", "resource_name")
_COMMON = {
    *(
        "action",
        "outcome",
        "principal_kind",
        "principal_id",
        "principal_name",
        "user",
        "mfa_device",
        "mfa_at",
    ),
    *("address", "user_agent", "request_id", "details"),
}
# What PostgreSQL cannot tell from a parameter alone.
_CASTS = {"user_id": "::bigint", "mfa_at": "::timestamptz", "address": "::inet", "details": "::jsonb"}


@cache
def _statement_text(vendor: str, columns: tuple[str, ...]) -> str:
    if vendor == "postgresql":
        values = ", ".join("%s" + _CASTS.get(column, "::text") for column in columns)
        about, source = "value->>0, value->>1, value->>2", "jsonb_array_elements(%s::jsonb) AS r(value)"
    else:
        values = ", ".join("%s" for _ in columns)
        about = ", ".join(f"json_extract(value, '$[{n}]')" for n in range(3))
        source = "json_each(%s)"
    names = ", ".join([*columns, *_RESOURCE])
    return f"INSERT INTO security_auditrecord ({names}) SELECT {values}, {about} FROM {source}"  # noqa: S608


def _row(
    principal: Principal,
    action: str,
    resource: Model | Resource | None,
    outcome: str,
    details: Mapping[str, Any] | None,
) -> AuditRecord:
    on = Resource("", "", "") if resource is None else describe(resource)
    return AuditRecord(
        action=action,
        outcome=outcome,
        principal_kind=principal.kind,
        principal_id=_cut("principal_id", principal.id),
        principal_name=_cut("principal_name", principal.name),
        user_id=principal.user_id,
        mfa_device=_cut("mfa_device", principal.mfa_device),
        mfa_at=principal.mfa_at,
        address=_address(principal.address),
        user_agent=_cut("user_agent", principal.user_agent),
        request_id=request_id.get(),
        resource_type=_cut("resource_type", on.type),
        resource_id=_cut("resource_id", on.id),
        resource_name=_cut("resource_name", on.name),
        details=_storable(dict(details or {})),
    )


def _cut(column: str, text: str | None) -> str:
    limit: int | None = AuditRecord._meta.get_field(column).max_length  # type: ignore[union-attr]
    return str(_storable(text or ""))[:limit]


def _storable(value: Any) -> Any:
    # A hostile name must not be able to keep its act out of the audit: PostgreSQL stores neither NUL
    # nor lone surrogates.
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_storable(str(key)): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return value


def _address(text: str | None) -> str | None:
    try:
        return str(ip_address(text or ""))
    except ValueError:  # behind a Unix socket there is no address
        return None
