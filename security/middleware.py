"""What every HTTP response carries."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import uuid4

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from security import audit

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
