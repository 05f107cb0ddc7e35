"""Grants on workflows, in the query: a permission on all of them, on one, or on those that carry a tag."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.db.models import F, Q, QuerySet
from guardian.shortcuts import get_objects_for_user

from .models import TagGrant, Workflow
from .queries.lookups import Holds


def granted(user: Any, codename: str, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return those of the workflows on which the person has the permission."""
    permission = f"orchestration.{codename}"
    if user.has_perm(permission):
        return rows
    direct = get_objects_for_user(user, permission, Workflow.objects.all(), accept_global_perms=False)
    return rows.filter(Q(pk__in=direct.values("pk")) | tagged(tags_of(user, codename)))


def tags_of(user: Any, codename: str) -> frozenset[str]:
    """Return the tags whose workflows the person has the permission on; kept on the person, as Django keeps theirs."""
    known = getattr(user, "_igon7_tags", None)
    if known is None:
        mine = Q(user=user.pk) | Q(group__in=user.groups.all())
        known = user._igon7_tags = {}
        for name, tag in TagGrant.objects.filter(mine).values_list("permission__codename", "tag"):
            known.setdefault(name, set()).add(tag)
    return frozenset(known.get(codename, ()))


def tagged(tags: frozenset[str]) -> Q:
    """Return the condition that a workflow carries one of the tags."""
    return reduce(or_, (Q(Holds(F("tags"), tag)) for tag in sorted(tags)), Q(pk__in=[]))


class TagGrantBackend(BaseBackend):
    """Let Django's `has_perm` know of grants by tag."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Say whether the workflow carries a tag on which the person has the permission."""
        app, _, codename = perm.partition(".")
        if not isinstance(obj, Workflow) or app != "orchestration" or not user_obj.is_active:
            return False
        tags = tags_of(user_obj, codename)
        # The row is asked, not the object: some are made of no more than an id and a name.
        return bool(tags) and Workflow.objects.filter(tagged(tags), pk=obj.pk).exists()
