"""A person's own account: password, second factors, recovery codes, sessions."""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_otp.plugins.otp_totp.models import TOTPDevice

from security import audit, second_factor
from security.actions import ACCOUNT_CHANGE, CONSOLE_OPEN, DEVICE_CHANGE
from security.models import UserSession
from security.principals import Principal
from security.web import step_up
from security.web.guard import requires

SESSION_ENDED, PASSWORD_CHANGED = "session.end", "password.change"


@require_GET
@never_cache
@requires(CONSOLE_OPEN)
def account(request: HttpRequest) -> HttpResponse:
    """Show what there is, and what can be done."""
    user: Any = request.user
    context = {
        "devices": second_factor.devices(user),
        "recovery": second_factor.recovery_left(user),
        "sessions": _sessions(request),
        "roles": user.groups.order_by("name"),
    }
    return render(request, "security/account.html", context)


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "POST"])
@requires(ACCOUNT_CHANGE)
def password(request: HttpRequest) -> HttpResponse:
    """Change the password; all other sessions end."""
    user: Any = request.user
    form = PasswordChangeForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save()
            update_session_auth_hash(request, user)
            others = UserSession.objects.filter(user=user).exclude(session_key=request.session.session_key)
            about = {"sessions_ended": others.delete()[0]}
            audit.record(Principal.for_request(request), PASSWORD_CHANGED, user, details=about)
        messages.success(request, _("Your password is changed; your other sessions have ended."))
        return redirect("account")
    return render(request, "security/password.html", {"form": form}, status=400 if form.errors else 200)


@sensitive_post_parameters("code")
@never_cache
@require_http_methods(["GET", "POST"])
@requires(ACCOUNT_CHANGE)
def enrol(request: HttpRequest) -> HttpResponseBase:
    """Set up an app that shows codes: it counts once a code of it has come."""
    user: Any = request.user
    act = request.GET.get("act", "") or request.POST.get("act", "")
    if second_factor.has_device(user) and not second_factor.is_fresh(request):
        return step_up.ask(request, step_up.sentence(DEVICE_CHANGE))
    wrong = ""
    device = TOTPDevice.objects.filter(user=user, confirmed=False).first()
    if request.method == "POST" and device is not None:
        codes = second_factor.confirm_totp(request, device, request.POST.get("code", ""))
        if codes is not None:
            messages.success(request, _("Your second factor is set up."))
            return _after_enrolment(request, codes, act)
        wrong = _("That code is not right. Check the clock of your phone, and take the newest code.")
    if device is None:
        device = second_factor.begin_totp(user, _("Authenticator app"))
    import segno  # not where workers are

    picture = segno.make(device.config_url, error="m").svg_data_uri(scale=4, border=2)
    context = {"picture": picture, "secret": _grouped(device), "wrong": wrong, "act": act}
    return render(request, "security/enrol.html", context, status=400 if wrong else 200)


def _after_enrolment(request: HttpRequest, codes: list[str], act: str) -> HttpResponseBase:
    if codes:
        return render(request, "security/recovery.html", {"codes": codes, "act": act})
    return redirect("step_up", id=act) if act else redirect("account")


def _grouped(device: TOTPDevice) -> str:
    text = b32encode(device.bin_key).decode().rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


@require_POST
@never_cache
@requires(DEVICE_CHANGE)
def recovery(request: HttpRequest) -> HttpResponse:
    """Make new recovery codes, and show them this once."""
    user: Any = request.user
    return render(request, "security/recovery.html", {"codes": second_factor.renew_recovery(request, user)})


@require_POST
@requires(DEVICE_CHANGE)
def remove_device(request: HttpRequest) -> HttpResponse:
    """Take one of one's own devices away."""
    user: Any = request.user
    wanted = request.POST.get("device", "")
    device = next((each for each in second_factor.devices(user) if each.persistent_id == wanted), None)
    if device is None:
        raise Http404
    second_factor.remove(Principal.for_request(request), user, device)
    messages.success(request, _("The device is removed."))
    return redirect("account")


@require_POST
@requires(ACCOUNT_CHANGE)
def end_sessions(request: HttpRequest) -> HttpResponse:
    """End one of one's own sessions, or all the others."""
    user: Any = request.user
    rows = UserSession.objects.filter(user=user).exclude(session_key=request.session.session_key)
    which = request.POST.get("session", "")
    if which:
        rows = rows.filter(pk__in=[row.pk for row in rows if public_id(row) == which])
    with transaction.atomic():
        count = rows.delete()[0]
        audit.record(Principal.for_request(request), SESSION_ENDED, user, details={"sessions": count})
    messages.success(request, _("Ended: %(count)d.") % {"count": count})
    return redirect("account")


def _sessions(request: HttpRequest) -> list[dict[str, Any]]:
    rows = UserSession.objects.filter(user=request.user.pk, expire_date__gt=timezone.now())
    return [
        {"id": public_id(row), "row": row, "this": row.session_key == request.session.session_key}
        for row in rows.order_by("-seen_at")
    ]


def public_id(row: UserSession) -> str:
    """Return what a session is called on a page: its key is a secret."""
    return str(UUID(bytes=sha256(b"igon7.session\0" + row.session_key.encode()).digest()[:16]))
