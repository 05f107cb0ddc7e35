"""Logging in, with a second factor where there is one, and out. Both are recorded by security.signals."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth import login as log_in
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from security import second_factor
from security.principals import EVIDENCE
from security.web.guard import public

PENDING, LASTS = "igon7_pending", 5 * 60  # who has given a password and no code yet; for so many seconds
TRIES = 10  # codes of one password


class Login(LoginView):
    """Asks for name and password; where the person has a second factor, that comes next."""

    template_name = "registration/login.html"
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        user = form.get_user()
        if not second_factor.has_device(user):
            return super().form_valid(form)
        # Nobody is logged in yet; and what an earlier visitor left in this session is not theirs.
        self.request.session.flush()
        kept = {"user": user.pk, "backend": user.backend, "at": time.time(), "tries": 0}
        self.request.session[PENDING] = {
            **kept,
            "next": self.get_redirect_url(),
            "hash": user.get_session_auth_hash(),
        }
        return redirect("login_code")


login = public("nobody is logged in yet")(Login.as_view())
logout = public("ends a session and shows nothing")(LogoutView.as_view())


@public("somebody has given their password, and nothing is shown before the code")
@sensitive_post_parameters("code")
@never_cache
@require_http_methods(["GET", "POST"])
def login_code(request: HttpRequest) -> HttpResponseBase:
    """Take the code of a second factor, or a recovery code, and log in."""
    pending, user = pending_login(request)
    if pending is None or user is None:
        return redirect("login")
    wrong = ""
    if request.method == "POST":
        if second_factor.verify(request, user, request.POST.get("code", "")):
            return enter(request, user, pending)
        pending["tries"] += 1
        request.session[PENDING] = pending
        wrong = _("That code is not right, or was used already. After several wrong ones, wait a moment.")
        if pending["tries"] >= TRIES:
            request.session.flush()
            return redirect("login")
    context = {"wrong": wrong, "devices": second_factor.devices(user)}
    return render(request, "security/login_code.html", context, status=400 if wrong else 200)


def pending_login(request: HttpRequest) -> tuple[dict[str, Any] | None, Any]:
    """Return what is kept of who has given their password a moment ago, and the person as they are now; or None."""
    pending = request.session.get(PENDING)
    if pending is None or pending["at"] < time.time() - LASTS:
        return None, None
    user = get_user_model()._default_manager.filter(pk=pending["user"], is_active=True).first()
    if user is None or user.get_session_auth_hash() != pending["hash"]:  # the password has changed meanwhile
        return None, None
    return dict(pending), user


def enter(request: HttpRequest, user: Any, pending: dict[str, Any]) -> HttpResponseBase:
    """Log in whose second factor has answered, and go on to where they wanted."""
    evidence = request.session[EVIDENCE]
    device = request.user.otp_device if hasattr(request.user, "otp_device") else None
    log_in(request, user, backend=pending["backend"])
    request.session[EVIDENCE] = evidence
    request.session["otp_device_id"] = evidence["device"]
    request.session.pop(PENDING, None)
    user.otp_device = device
    return redirect(safe_next(request, pending["next"]))


def safe_next(request: HttpRequest, url: str) -> str:
    """Return a URL of this host to go on to, or home."""
    if url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure()):
        return url
    return resolve_url(settings.LOGIN_REDIRECT_URL)


@public("leads to the login page")
@never_cache
def admin_login(request: HttpRequest) -> HttpResponseBase:
    """Send whoever opens the admin to the one login page. Raises PermissionDenied for who may not enter."""
    if request.user.is_authenticated:
        raise PermissionDenied
    return redirect(f"{resolve_url('login')}?next={safe_next(request, request.GET.get('next', ''))}")


def locked_out(
    request: HttpRequest, credentials: dict[str, Any], *args: Any, **kwargs: Any
) -> HttpResponseBase:
    """Answer whoever has failed too often, the API in its own shape."""
    said = _("Too many failed logins for this account from this address. Try again in 15 minutes.")
    if request.path.startswith("/api/"):
        return JsonResponse({"error": {"code": "locked_out", "message": said}}, status=429)
    return render(request, "registration/login.html", {"locked": said}, status=429)
