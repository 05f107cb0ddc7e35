"""Writing the audit: one INSERT in the caller's transaction, so that act and record commit together."""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any

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


def record_many(
    principal: Principal,
    action: str,
    resources: Iterable[Model | Resource],
    outcome: str = AuditRecord.Outcome.ALLOWED,
    details: Mapping[str, Any] | None = None,
    *,
    using: str | None = None,
) -> None:
    """Insert one record for each resource, in bulk."""
    rows = [_row(principal, action, resource, outcome, details) for resource in resources]
    AuditRecord.objects.using(using).bulk_create(rows)


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
