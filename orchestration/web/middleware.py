"""Times are shown in the zone of the person's browser, which tells it in a cookie."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from functools import lru_cache

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

COOKIE = "igon7_zone"


class PersonTimezoneMiddleware:
    """Activate the browser's zone for the length of the request; without one, the site's."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if self._is_async:
            return self._async_call(request)  # type: ignore[return-value]
        with timezone.override(_zone(request.COOKIES.get(COOKIE, ""))):
            return self.get_response(request)

    async def _async_call(self, request: HttpRequest) -> HttpResponseBase:
        with timezone.override(_zone(request.COOKIES.get(COOKIE, ""))):
            return await self.get_response(request)  # type: ignore[misc]


def _zone(name: str) -> zoneinfo.ZoneInfo | None:
    return zoneinfo.ZoneInfo(name) if name in _names() else None


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
