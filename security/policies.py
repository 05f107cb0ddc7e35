"""The one question: may this principal do this, to that? The default is no.

A denial is recorded in a transaction of its own, because the caller's is about to be rolled back. Writing it
over a second connection would deadlock SQLite, whose only writer may be the caller; so `authorise` is asked
*before* the caller opens its transaction, and says so loudly when it is not. Inside a transaction, and where
a "no" is an ordinary answer (a button to show, a row to list), ask `allowed` or `visible_to`, which write
nothing.
"""

from typing import Any, TypeAlias, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db import router, transaction
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _

from security import audit, objects
from security.actions import Action, declared
from security.errors import LOGIN_REQUIRED, Denied
from security.models import AuditRecord, Role
from security.objects import Resource
from security.principals import Principal

Subject: TypeAlias = Model | Resource | None
M = TypeVar("M", bound=Model)


def authorise(principal: Principal, action: str, obj: Subject = None) -> None:
    """Return when the principal may do `action` (to `obj`); else record the denial and raise Denied.

    For what is only about to be made, `obj` is a Resource: grants on objects do not apply to it.
    Raises UnknownAction for an undeclared action and RuntimeError inside a transaction. The sentence names
    `obj`: show people what they may not even view as not found (`visible_to`), before asking this.
    """
    _refuse_inside_transaction()
    if allowed(principal, action, obj):
        return
    if principal.kind == "anonymous":
        # Not recorded: it is nobody's act, and would let anyone on the network fill the table.
        raise Denied(_("Log in to %(what)s.") % {"what": declared(action).description}, LOGIN_REQUIRED)
    audit.record(principal, action, obj, outcome=AuditRecord.Outcome.DENIED)
    raise Denied(_sentence(principal, declared(action), obj))


def allowed(principal: Principal, action: str, obj: Subject = None) -> bool:
    """Return whether the principal may do `action` (to `obj`). Writes nothing. Raises UnknownAction."""
    asked = declared(action)
    permission, holder = objects.permission_for(action), _holder(action, obj)
    if principal.kind == "system":
        return True
    user = principal.person()
    if user is None or not user.is_active:
        return False
    if asked.open_to_all or _may_do_everything(user):
        return True
    if permission is None:
        return False
    return user.has_perm(permission) or (holder is not None and user.has_perm(permission, holder))


def visible_to(principal: Principal, queryset: QuerySet[M]) -> QuerySet[M]:
    """Narrow a queryset to the rows that the principal may view, in the query itself."""
    if sees_everything(principal):
        return queryset
    user, guard = principal.person(), objects.guard_of(queryset.model)
    if user is not None and user.is_active and guard is not None:
        return guard.visible_to(user, queryset)
    return queryset.none()


def sees_everything(principal: Principal) -> bool:
    """Return whether there is nothing that `visible_to` hides from the principal."""
    if principal.kind == "system":
        return True
    user = principal.person()
    return user is not None and user.is_active and _may_do_everything(user)


def _may_do_everything(user: Any) -> bool:
    if user.is_superuser:
        return True
    # Kept on the person, as Django keeps their permissions there: for as long as this one is loaded.
    known = getattr(user, "_igon7_everything", None)
    if known is None:
        known = Role.objects.filter(everything=True, group__user=user.pk).exists()
        user._igon7_everything = known
    return bool(known)


def _holder(action: str, obj: Subject) -> Model | None:
    if not isinstance(obj, Model):
        return None
    guard = objects.guard_of(type(obj))
    if guard is None or action not in guard.permissions:
        raise ImproperlyConfigured(
            f'"{action}" is not registered for {obj._meta.label} with security.objects.'
        )
    return guard.holder(obj)


def _sentence(principal: Principal, action: Action, obj: Subject) -> str:
    said = {"who": principal.name, "what": action.description}
    if obj is None:
        return _("%(who)s may not %(what)s.") % said
    return _("%(who)s may not %(what)s: no permission for “%(object)s”.") % {
        **said,
        "object": objects.describe(obj).name,
    }


def _refuse_inside_transaction() -> None:
    using = router.db_for_write(AuditRecord)
    if not transaction.get_connection(using).in_atomic_block:
        return
    try:
        # Django's own test: a block opened by a TestCase does not count.
        with transaction.atomic(using=using, durable=True):
            pass
    except RuntimeError:
        raise RuntimeError(
            "security.policies.authorise was called inside a transaction, whose rollback would lose the "
            "denial; call it before the transaction, or ask security.policies.allowed."
        ) from None
