"""What every HTTP response carries, and what every account keeps to."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeAlias
from uuid import uuid4

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from security import audit
from security.errors import STEP_UP_REQUIRED, Denied
from security.principals import EVIDENCE
from security.second_factor import is_fresh, must_enrol
from security.sessions import FROM, SEEN

Next: TypeAlias = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",  # the page's own WebSocket included
        "manifest-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
)
PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "browsing-topics",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "usb",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": PERMISSIONS_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    # Whoever goes back after a logout must find nothing; static files say otherwise for themselves.
    "Cache-Control": "no-store",
}
REQUEST_ID_HEADER = "X-Request-ID"


class ContentSecurityPolicyMiddleware:
    """Give every response the strict policies, unless its view has set a policy of its own.

    It also numbers the request: the number is in the response and in each audit record made meanwhile.
    It stands above whatever may answer by itself, so that errors and static files carry the headers too.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._async_call(request)
        token = audit.request_id.set(str(uuid4()))
        try:
            return _with_headers(self.get_response(request))  # type: ignore[arg-type]
        finally:
            audit.request_id.reset(token)

    async def _async_call(self, request: HttpRequest) -> HttpResponseBase:
        token = audit.request_id.set(str(uuid4()))
        try:
            return _with_headers(await self.get_response(request))  # type: ignore[misc]
        finally:
            audit.request_id.reset(token)


def _with_headers(response: HttpResponseBase) -> HttpResponseBase:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers[REQUEST_ID_HEADER] = audit.request_id.get()
    return response


class AccountMiddleware:
    """Keep an account within its rules: whose role asks for a second factor sets one up before anything else.

    It also notes, every few minutes, that a session is used.
    """

    SEEN_EVERY = 300.0  # seconds

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.user.is_authenticated:
            self._note(request)
            if EVIDENCE not in request.session and not _is_open(request) and must_enrol(request.user):
                return _enrol_first(request)
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        """Ask for a second factor before anything is changed in the admin."""
        if not _changes_the_admin(request) or not request.user.is_staff or is_fresh(request):
            return None
        from security.web.step_up import ask

        return ask(request, gettext("change something in the administration"))

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Ask for a second factor where an act has been refused for the lack of it, and come back to the act."""
        if (
            isinstance(error, Denied)
            and error.code == STEP_UP_REQUIRED
            and not request.path.startswith("/api/")
        ):
            from security.web.step_up import ask

            return ask(request, gettext("do this: %(why)s") % {"why": error})
        return None

    def _note(self, request: HttpRequest) -> None:
        session, now = request.session, timezone.now()
        seen = session.get(SEEN)
        if seen is not None and (now - datetime.fromisoformat(seen)).total_seconds() < self.SEEN_EVERY:
            return
        session[SEEN] = now.isoformat()
        if FROM not in session:
            agent = request.META.get("HTTP_USER_AGENT", "")[:200].replace("\0", "")
            session[FROM] = {
                "address": request.META.get("REMOTE_ADDR"),
                "agent": agent,
                "at": now.isoformat(),
            }


_NOTHING_CHANGES = ("logout", "login", "autocomplete", "jsi18n")
_OPEN = ("/account/", "/passkeys/", "/logout/", "/static/")


def _changes_the_admin(request: HttpRequest) -> bool:
    match = request.resolver_match
    if match is None or match.app_name != "admin" or request.method != "POST":
        return False
    return match.url_name not in _NOTHING_CHANGES


def _is_open(request: HttpRequest) -> bool:
    return request.path.startswith(_OPEN)


def _enrol_first(request: HttpRequest) -> HttpResponseBase:
    said = gettext("Your role asks for a second factor. Set one up first.")
    if request.path.startswith("/api/"):
        return JsonResponse({"error": {"code": "second_factor_missing", "message": said}}, status=403)
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204, headers={"HX-Redirect": reverse("enrol")})
    messages.warning(request, said)
    return redirect("enrol")
