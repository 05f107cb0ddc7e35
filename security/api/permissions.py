"""How the API's views ask `security`."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from security.actions import CONSOLE_OPEN, declared
from security.errors import LOGIN_REQUIRED, STEP_UP_REQUIRED, Denied
from security.mfa import STEP_UP, has_evidence
from security.policies import Subject, authorise
from security.principals import Principal
from security.second_factor import must_enrol


class ActionPermission(BasePermission):
    """Ask for the action that the view's `required_actions` names; a method it leaves out is refused.

    `required_actions` maps a viewset's action ("list", "retrieve", "cancel"), or an APIView's method ("get",
    "post"), to an action. A view of one object has `get_object`: it is called, and its object authorised,
    before the handler runs, so that a handler which forgets it is guarded all the same.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        action = required_action(view, request)
        if action is None:
            return False
        if view.kwargs and hasattr(view, "get_object") and not declared(action).open_to_all:
            _ask(request, CONSOLE_OPEN)  # before any row is looked for
            view.get_object()  # comes back through has_object_permission
            return True
        _ask(request, action)
        return True

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        action = required_action(view, request)
        if action is None:
            return False
        _ask(request, action, obj)
        return True


def required_action(view: APIView, request: Request) -> str | None:
    """Return the action that this request asks for; None when its method is not declared."""
    method = (request.method or "").lower()
    name = getattr(view, "action", None) or ("get" if method == "head" else method)
    actions: dict[str, str] = getattr(view, "required_actions", {})
    return actions.get(name)


def _ask(request: Request, action: str, obj: Subject = None) -> None:
    principal = Principal.for_request(request)
    if principal.kind == "token" and must_enrol(request.user):
        said = _("A role of this token's owner asks for a second factor, and there is none.")
        raise exceptions.PermissionDenied(said, "second_factor_missing")
    try:
        authorise(principal, action, obj)
        if declared(action).sensitive and not has_evidence(principal, STEP_UP, timezone.now()):
            raise Denied(
                _("This asks for a second factor that has answered within ten minutes."), STEP_UP_REQUIRED
            )
    except Denied as denied:
        if denied.code == LOGIN_REQUIRED:
            raise exceptions.NotAuthenticated(str(denied), denied.code) from None
        raise exceptions.PermissionDenied(str(denied), denied.code) from None
