"""Times are shown in the zone of the person's browser, which tells it in a cookie.

A decorator and not a middleware: what the API says stays in UTC, whoever asks.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

COOKIE = "igon7_zone"


def in_own_zone(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Run the view, its rendering included, in the browser's zone; before it is known, in the site's."""

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        name = request.COOKIES.get(COOKIE, "")
        with timezone.override(zoneinfo.ZoneInfo(name) if name in _names() else None):
            return view(request, *args, **kwargs)

    return shown


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
