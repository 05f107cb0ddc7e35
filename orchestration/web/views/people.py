"""People and roles: who may do what, and why; giving and taking; and what a role or a person would see."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from django_otp import user_has_device

from orchestration import executor, queries
from orchestration.engine.errors import Igon7Error
from orchestration.models import Workflow
from orchestration.queries.access import PERMISSIONS, entitlements_of, entitlements_on, reach
from orchestration.web.access import load_workflow
from security.actions import GRANT_MANAGE, PERSON_MANAGE, PERSON_VIEW, WORKFLOW_VIEW
from security.errors import LAST_ADMINISTRATOR, NO_GAIN, Denied
from security.people import give_role, take_role
from security.policies import allowed, authorise
from security.principals import Principal
from security.web.guard import requires

SHOWN = 50
LISTED = 200  # workflows
SAID = (LAST_ADMINISTRATOR, NO_GAIN)  # refusals that are answers to a form


def load_person(principal: Principal, id: int) -> Any:
    """Return the person, for whoever may see who may do what. Raises Http404."""
    found = get_user_model()._default_manager.filter(pk=id).first()
    if found is None or not (allowed(principal, PERSON_VIEW) or allowed(principal, PERSON_MANAGE)):
        raise Http404
    return found


@require_GET
@requires(PERSON_VIEW)
def people(request: HttpRequest) -> HttpResponse:
    """List people, by name, with their roles; and the roles."""
    wanted, after = (request.GET.get(name, "").replace("\0", "")[:150] for name in ("q", "after"))
    rows = get_user_model()._default_manager.filter(_named(wanted), username__gt=after)
    if chosen := request.GET.get("role", "").replace("\0", "")[:150]:
        rows = rows.filter(groups__name=chosen)
    found = list(rows.order_by("username").prefetch_related("groups")[: SHOWN + 1])
    roles = Group.objects.order_by("name").annotate(members=Count("user", filter=Q(user__is_active=True)))
    context = {
        "rows": [(each, user_has_device(each)) for each in found[:SHOWN]],
        "next": found[SHOWN - 1].get_username() if len(found) > SHOWN else "",
        "q": wanted,
        "chosen": chosen,
        "roles": roles.select_related("role")[:LISTED],
    }
    return render(request, "orchestration/people.html", context)


def _named(text: str) -> Q:
    parts = ("username", "first_name", "last_name", "email")
    named = Q()
    for part in parts if text else ():
        named |= Q(**{f"{part}__icontains": text})
    return named


@require_GET
@requires(PERSON_VIEW)
def person(request: HttpRequest, id: int) -> HttpResponse:
    """Show what a person may do, and why."""
    principal = Principal.for_request(request)
    return _person(request, load_person(principal, id))


def _person(request: HttpRequest, shown: Any) -> HttpResponse:
    principal = Principal.for_request(request)
    groups = list(shown.groups.order_by("name"))
    context = {
        "person": shown,
        "has_device": user_has_device(shown),
        "groups": groups,
        "others": Group.objects.exclude(pk__in=[group.pk for group in groups]).order_by("name")[:LISTED],
        "found": entitlements_of(shown, principal),
        "may_manage": allowed(principal, PERSON_MANAGE),
        "may_grant": allowed(principal, GRANT_MANAGE),
        "is_self": principal.user_id == shown.pk,
        "permissions": PERMISSIONS,
    }
    return render(request, "orchestration/person.html", context)


@require_POST
@requires(PERSON_MANAGE)
def change_roles(request: HttpRequest, id: int) -> HttpResponse:
    """Give the person a role, or take it."""
    person = load_person(Principal.for_request(request), id)
    role = Group.objects.filter(name=request.POST.get("role", "").replace("\0", "")).first()
    if role is None:
        messages.error(request, _("There is no such role."), extra_tags="bad")
        return redirect("person", person.pk)
    act = take_role if request.POST.get("do") == "take" else give_role
    try:
        act(Principal.for_request(request), person, role, request.POST.get("reason", "").strip())
        messages.success(request, _("The roles of “%s” are changed.") % person.get_username())
    except Denied as refused:
        _say(request, refused)
    return redirect("person", person.pk)


@require_POST
@requires(GRANT_MANAGE)
def change_by_tag(request: HttpRequest) -> HttpResponse:
    """Give a permission by tag, or take it."""
    _change(request, tag=request.POST.get("tag", "").strip())
    name = request.POST.get("person", "")
    found = get_user_model()._default_manager.filter(username=name.replace("\0", "")).first()
    return redirect("person", found.pk) if found is not None else redirect("people")


@require_GET
@requires(WORKFLOW_VIEW, load_workflow)
def of_workflow(request: HttpRequest, workflow: Workflow) -> HttpResponse:
    """Show who may do what with the workflow, and why."""
    principal = Principal.for_request(request)
    may_grant = allowed(principal, GRANT_MANAGE, workflow)
    if not may_grant:
        authorise(principal, PERSON_VIEW)
    context = {
        "workflow": workflow,
        "found": entitlements_on(workflow),
        "may_grant": may_grant,
        "may_tag": allowed(principal, GRANT_MANAGE),
        "permissions": PERMISSIONS,
        "roles": Group.objects.order_by("name")[:LISTED],
    }
    return render(request, "orchestration/workflow_people.html", context)


@require_POST
@requires(GRANT_MANAGE, load_workflow)
def change_on(request: HttpRequest, workflow: Workflow) -> HttpResponse:
    """Give a permission on the workflow, or take it."""
    _change(request, workflow=workflow.name)
    return redirect("workflow_people", workflow.name)


def _change(request: HttpRequest, **on: str) -> None:
    """Do what the form says, and tell the person; what is no answer to a form is raised."""
    told = {name: request.POST.get(name, "").strip() for name in ("person", "role", "reason")}
    act = executor.revoke if request.POST.get("do") == "revoke" else executor.grant
    try:
        done = act(request.POST.get("permission", ""), principal=Principal.for_request(request), **on, **told)
    except Igon7Error as error:
        messages.error(request, str(error), extra_tags="bad")
    except Denied as refused:
        _say(request, refused)
    else:
        new, old = (
            (_("It is taken away."), _("It is given.")),
            (_("There was none."), _("It was given already.")),
        )
        messages.success(request, (new if done else old)[act is executor.grant])


def _say(request: HttpRequest, refused: Denied) -> None:
    if refused.code not in SAID:
        raise refused
    messages.error(request, str(refused), extra_tags="bad")


@require_GET
@requires(PERSON_VIEW)
def simulate(request: HttpRequest) -> HttpResponse:
    """Show what a role alone, or a person, would see and might do; nobody becomes them."""
    principal = Principal.for_request(request)
    role, name = (request.GET.get(key, "").replace("\0", "")[:150] for key in ("role", "person"))
    of: Any = Group.objects.filter(name=role).first() if role else None
    if not role and name:
        of = get_user_model()._default_manager.filter(username=name).first()
    context: dict[str, Any] = {
        "roles": Group.objects.order_by("name")[:LISTED],
        "role": role,
        "name": "" if role else name,
        "of": of,
        "unknown": bool(role or name) and of is None,
        "permissions": PERMISSIONS,
    }
    if of is not None:
        context |= _reached(principal, of)
    return render(request, "orchestration/simulate.html", context)


def _reached(principal: Principal, of: Any) -> dict[str, Any]:
    """Return the first workflows that they would see, those that the reader may see too, with what they might do."""
    seen = queries.workflows(principal).filter(pk__in=reach(of, "view").values("pk"))
    rows = list(seen.order_by("name").values_list("pk", "name")[: LISTED + 1])
    shown = [pk for pk, _name in rows[:LISTED]]
    may = {
        each: set(reach(of, each).filter(pk__in=shown).values_list("pk", flat=True)) for each in PERMISSIONS
    }
    return {
        "rows": [(name, [pk in may[each] for each in PERMISSIONS]) for pk, name in rows[:LISTED]],
        "count": seen.count(),
        "more": len(rows) > LISTED,
    }
