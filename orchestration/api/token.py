"""Obtaining the token that a program sends as `Authorization: Token …`."""

from __future__ import annotations

import hashlib
from typing import Any

import django_otp
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from security import audit, second_factor
from security.models import AuditRecord
from security.principals import Principal
from security.web.guard import public

from . import query
from .base import Endpoint
from .bodies import Credentials

TOKEN_OBTAIN = "token.obtain"


class _Tries(SimpleRateThrottle):
    rate = "10/min"


class ByAddress(_Tries):
    scope = "token-address"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        # Not get_ident(): it believes X-Forwarded-For, which whoever guesses passwords writes at will.
        return self.cache_format % {"scope": self.scope, "ident": request.META.get("REMOTE_ADDR", "")}


class ByAccount(_Tries):
    scope = "token-account"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        name = str(request.data.get("username", "")) if isinstance(request.data, dict) else ""
        ident = hashlib.sha256(name.encode()).hexdigest()
        return self.cache_format % {"scope": self.scope, "ident": ident}


class ObtainToken(Endpoint):
    """POST username and password (and otp, by whom it is set up): the person's token."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = (ByAddress, ByAccount)

    def get_authenticate_header(self, request: Request) -> str:
        return "Token"

    def post(self, request: Request) -> Response:
        query.only(request)
        user = _person(request._request, self.body(Credentials))
        with transaction.atomic():
            token, created = Token.objects.get_or_create(user=user)
            audit.record(Principal.for_user(user, request), TOKEN_OBTAIN, user, details={"new": created})
        return Response({"token": token.key})


@public("takes a password, and answers with nothing else than that person's token")
@csrf_exempt
def obtain_token(request: HttpRequest) -> HttpResponseBase:
    return ObtainToken.as_view()(request)


def _person(request: HttpRequest, credentials: dict[str, Any]) -> User:
    """Return whose credentials these are. Raises AuthenticationFailed, not saying which part was wrong."""
    username, password, otp = credentials["username"], credentials["password"], credentials["otp"]
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        raise AuthenticationFailed(_("Username and password do not match an active account."))
    if django_otp.user_has_device(user) and not (otp and django_otp.match_token(user, otp)):
        if otp:
            about = Principal.for_user(user, request)
            audit.record(about, second_factor.VERIFIED, user, AuditRecord.Outcome.FAILED)
        raise AuthenticationFailed(_("This account needs its one-time code: send it as otp."), "otp_required")
    if second_factor.must_enrol(user):
        said = _("A role of this account asks for a second factor. Set one up in the console first.")
        raise AuthenticationFailed(said, "second_factor_missing")
    return user
