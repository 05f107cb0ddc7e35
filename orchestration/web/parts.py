"""Pages of which htmx fetches a part under the page's own address."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django_htmx.middleware import HtmxDetails

View = Callable[..., HttpResponseBase]


def asks_for_part(request: HttpRequest, target: str) -> bool:
    """Say whether htmx asks for what goes into the element with this id."""
    htmx = cast(HtmxDetails, request.htmx)  # type: ignore[attr-defined]
    return bool(htmx) and htmx.target == target and not htmx.history_restore_request


def part_of_page(view: View) -> View:
    """Keep a browser that goes back from showing a part that it remembers under the page's address."""

    @wraps(view)
    def varied(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        patch_vary_headers(response, ["HX-Request", "HX-Target"])
        if request.htmx:  # type: ignore[attr-defined]
            add_never_cache_headers(response)
        return response

    return varied
