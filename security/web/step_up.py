"""Asking for a second factor before a sensitive act, and coming back to that act and no other.

What was asked for is kept in the session: for a GET its address; for a POST also what was posted, encrypted, for what
is typed into a form may be a secret. Once a factor has answered, the person says once more that they mean it.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import resolve, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from security import second_factor
from security.actions import CONSOLE_OPEN, declared
from security.principals import Principal
from security.web.guard import requires

KEY = "igon7_acts"
MOST, LASTS, LARGEST = 5, 15 * 60, 64 * 1024  # acts kept in a session, their seconds, the bytes of a form
_SAFE = ("GET", "HEAD")


def ask(request: HttpRequest, what: str) -> HttpResponseBase:
    """Send the person to the page that asks for their second factor; `what` continues "to …"."""
    acts = {id: act for id, act in request.session.get(KEY, {}).items() if act["at"] > time.time() - LASTS}
    id = secrets.token_urlsafe(12)
    act: dict[str, Any] = {"what": what, "at": time.time(), "path": request.get_full_path(), "body": ""}
    if request.method not in _SAFE:
        body = request.POST.urlencode()
        if request.FILES or len(body) > LARGEST:  # too much to keep: it is asked for again, from its page
            act["path"] = _page_of(request)
        else:
            act["body"] = _box().encrypt(body.encode()).decode()
    elif request.headers.get("HX-Request") == "true":
        act["path"] = _page_of(request)
    request.session[KEY] = {**dict(list(acts.items())[-MOST + 1 :]), id: act}
    url = reverse("step_up", args=[id])
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return redirect(url)


def sentence(action: str) -> str:
    """Return what an action is, as `ask` takes it."""
    return str(declared(action).description)


@require_http_methods(["GET", "POST"])
@requires(CONSOLE_OPEN)
def step_up(request: HttpRequest, id: str) -> HttpResponseBase:
    """Ask for a code; then go back to the act, or ask once more whether it is meant."""
    act = _act(request, id)
    user: Any = request.user
    if not second_factor.has_device(user):
        return redirect(f"{reverse('enrol')}?act={id}")
    wrong = ""
    if request.method == "POST":
        if second_factor.verify(request, user, request.POST.get("code", "")):
            return redirect("step_up", id=id)
        wrong = _("That code is not right, or was used already. After several wrong ones, wait a moment.")
    elif second_factor.is_fresh(request):
        if not act["body"]:
            _forget(request, id)
            return redirect(act["path"])
        return render(request, "security/step_up_again.html", {"act": act, "id": id})
    context = {"act": act, "id": id, "wrong": wrong, "devices": second_factor.devices(user)}
    return render(request, "security/step_up.html", context, status=400 if wrong else 200)


@require_POST
@requires(CONSOLE_OPEN)
def go_on(request: HttpRequest, id: str) -> HttpResponseBase:
    """Do what was asked for, once: exactly what was posted, by the view that it was posted to, which asks again."""
    act = _act(request, id)
    if not act["body"] or not second_factor.is_fresh(request):
        return redirect("step_up", id=id)
    _forget(request, id)
    try:
        body = _box().decrypt(act["body"].encode()).decode()
    except InvalidToken:
        raise Http404 from None
    match = resolve(act["path"].partition("?")[0])
    request.path = request.path_info = act["path"].partition("?")[0]
    request.GET = QueryDict(act["path"].partition("?")[2])
    request._post = request.POST = QueryDict(body)  # type: ignore[attr-defined]
    request.resolver_match = match
    answer: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
    return answer


def _act(request: HttpRequest, id: str) -> dict[str, Any]:
    act = request.session.get(KEY, {}).get(id)
    if act is None or act["at"] < time.time() - LASTS:
        raise Http404
    found: dict[str, Any] = act
    return found


def _forget(request: HttpRequest, id: str) -> None:
    acts = dict(request.session.get(KEY, {}))
    acts.pop(id, None)
    request.session[KEY] = acts


def _page_of(request: HttpRequest) -> str:
    page = request.headers.get("HX-Current-URL") or request.headers.get("Referer") or "/"
    safe = url_has_allowed_host_and_scheme(page, {request.get_host()}, require_https=request.is_secure())
    return page if safe else "/"


def _box() -> Fernet:
    key = hashlib.sha256(b"igon7.step-up\0" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))


def answer_for(request: HttpRequest, action: str, principal: Principal) -> HttpResponseBase | None:
    """Return None where a principal may go on with an action; else what asks for their second factor."""
    if not declared(action).sensitive or principal.kind != "user" or second_factor.is_fresh(request):
        return None
    return ask(request, sentence(action))
