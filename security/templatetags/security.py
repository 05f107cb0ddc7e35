"""What templates ask security."""

from __future__ import annotations

from typing import Any

from django import template

from security.principals import Principal
from security.web.pages import NAMES, Page, pages_for

register = template.Library()


@register.simple_tag(takes_context=True)
def security_pages(context: Any) -> list[Page]:
    """Return the pages about security that the person may open."""
    request = context.get("request")
    return pages_for(Principal.for_request(request)) if request is not None else []


@register.filter
def is_of_security(url_name: str | None) -> bool:
    """Say whether a URL name is that of a page about security."""
    return url_name in NAMES
