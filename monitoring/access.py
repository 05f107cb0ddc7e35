"""Whether the person at the other end of a WebSocket may (still) watch an execution."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.utils import translation

from orchestration.models import Execution
from security.actions import EXECUTION_VIEW
from security.errors import LOGIN_REQUIRED, Denied
from security.policies import allowed, authorise
from security.principals import Principal

NOT_LOGGED_IN, NO_PERMISSION, UNKNOWN = 4401, 4403, 4404


@dataclass(frozen=True, slots=True)
class Refusal:
    """The code that the socket is closed with, and a sentence for whoever looks."""

    code: int
    reason: str


def refusal(scope: dict[str, Any], execution: uuid.UUID, *, again: bool) -> Refusal | None:
    """Return why the socket has to be closed; None when it may be open. Asks the database each time.

    A first "no" is recorded in the audit; one found `again`, while watching, just ends the socket.
    """
    principal = Principal.for_request(request_of(scope))
    if principal.kind == "anonymous":
        return Refusal(NOT_LOGGED_IN, "Log in again.")
    row = Execution.objects.select_related("workflow").filter(pk=execution).first()
    if row is None:
        return Refusal(UNKNOWN, f"There is no execution {execution}.")
    if again:
        ended = Refusal(NO_PERMISSION, "You may no longer view this execution.")
        return None if allowed(principal, EXECUTION_VIEW, row) else ended
    try:
        authorise(principal, EXECUTION_VIEW, row)
    except Denied as denied:
        code = NOT_LOGGED_IN if denied.code == LOGIN_REQUIRED else NO_PERMISSION
        return Refusal(code, "You may not view this execution.")
    return None


def language_of(scope: dict[str, Any]) -> str:
    """Return the language that pages are shown in to whoever opened the socket."""
    return translation.get_language_from_request(_bare_request(scope))


def request_of(scope: dict[str, Any]) -> HttpRequest:
    """Return the handshake as a request whose session and user are as they are now, not as they were then."""
    request = _bare_request(scope)
    store = import_module(settings.SESSION_ENGINE).SessionStore
    # An ended session loads empty, and a changed password ends it: both make the user anonymous.
    request.session = store(scope["session"].session_key)
    request.user = get_user(request)
    return request


def _bare_request(scope: dict[str, Any]) -> HttpRequest:
    headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope.get("headers", ())}
    request = HttpRequest()
    request.COOKIES = dict(scope.get("cookies", {}))
    request.META = {
        "HTTP_USER_AGENT": headers.get("user-agent", ""),
        "HTTP_ACCEPT_LANGUAGE": headers.get("accept-language", ""),
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
    }
    return request
