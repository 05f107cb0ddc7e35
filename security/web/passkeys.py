"""Passkeys: the library's two ceremonies, with what is kept of each in the session and in the audit."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django_otp_webauthn.exceptions import InvalidState
from django_otp_webauthn.utils import get_credential_model
from django_otp_webauthn.views import (
    BeginCredentialAuthenticationView,
    BeginCredentialRegistrationView,
    CompleteCredentialAuthenticationView,
    CompleteCredentialRegistrationView,
)

from security import audit, second_factor
from security.actions import ACCOUNT_CHANGE
from security.principals import Principal
from security.web.guard import public, requires
from security.web.views import enter, pending_login


class _Answering:
    """Whose passkey is asked for: who is logged in, or has just given their password; else nobody's in particular."""

    request: HttpRequest

    def get_user(self) -> Any:
        if self.request.user.is_authenticated:
            return self.request.user
        return pending_login(self.request)[1]


class BeginAnswer(_Answering, BeginCredentialAuthenticationView):
    """Gives the browser what a passkey is to sign."""


class Answer(_Answering, CompleteCredentialAuthenticationView):
    """Takes what a passkey has signed: logs in, or notes that the second factor of who is logged in has answered."""

    def get_state(self) -> Any:
        """Return what was asked for. Raises InvalidState where that had a password before it, and there is none now."""
        state = super().get_state()
        if self.get_user() is None and not state["require_user_verification"]:
            raise InvalidState
        return state

    def complete_auth(self, device: Any) -> Any:
        request = self.request
        if request.user.is_authenticated:
            second_factor.note(request, device.user, device)
            self._next = ""
            return device.user
        pending, _user = pending_login(request)
        about = pending or {
            "backend": "django.contrib.auth.backends.ModelBackend",
            "next": self.get_redirect_url(),
        }
        second_factor.note(request, device.user, device)
        self._next = enter(request, device.user, about)["Location"]
        return device.user

    def get_success_url(self) -> str:
        return self._next


class Register(CompleteCredentialRegistrationView):
    """Keeps a new passkey. Recovery codes are made on the account's page, which asks for them."""

    @transaction.atomic
    def post(self, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request: Any = self.request
        super().post(*args, **kwargs)
        user = get_user_model()._default_manager.get(pk=request.user.pk)
        device = get_credential_model().objects.filter(user=user).latest("pk")
        device.name = device.name or _("Passkey")
        device.save(update_fields=["name"])
        audit.record(
            Principal.for_request(request), second_factor.ADDED, user, details={"device": device.name}
        )
        second_factor.note(request, user, device)
        return JsonResponse({"redirect_url": reverse("account")})


_begin_register = BeginCredentialRegistrationView.as_view()
_register = Register.as_view()

begin_answer = public("a passkey is asked for, and nothing is shown")(BeginAnswer.as_view())
answer = public("a passkey logs in")(Answer.as_view())


def _may_add(request: HttpRequest) -> JsonResponse | None:
    user: Any = request.user
    if second_factor.has_device(user) and not second_factor.is_fresh(request):
        said = _("Confirm with your present second factor first.")
        return JsonResponse(
            {"detail": said, "code": "step_up_required", "page": reverse("enrol")}, status=403
        )
    return None


@requires(ACCOUNT_CHANGE)
def begin_register(request: HttpRequest) -> HttpResponseBase:
    """Give the browser what a new passkey is to be made for."""
    return _may_add(request) or _begin_register(request)


@requires(ACCOUNT_CHANGE)
def register(request: HttpRequest) -> HttpResponseBase:
    """Keep a new passkey."""
    return _may_add(request) or _register(request)
