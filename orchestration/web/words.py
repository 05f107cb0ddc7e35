"""The words and icons that people see for statuses; nothing else in the console spells them."""

from __future__ import annotations

from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

WORDS = {
    "queued": _("Queued"),
    "running": _("Running"),
    "paused": _("Paused"),
    "blocked": _("Blocked"),
    "cancelling": _("Cancelling"),
    "compensating": _("Undoing"),
    "succeeded": _("Succeeded"),
    "failed": _("Failed"),
    "cancelled": _("Cancelled"),
    "terminated": _("Terminated"),
    "pending": _("Pending"),
    "ready": _("Ready"),
    "waiting": _("Waiting"),
    "retrying": _("Retrying"),
    "attention": _("Attention"),
    "recovered": _("Recovered"),
    "upstream_failed": _("Upstream failed"),
    "skipped": _("Skipped"),
    "lost": _("Lost"),
    "timed_out": _("Timed out"),
}
SPRITE = "img/icons.svg"


def word(status: str) -> str:
    """Return a status as people read it."""
    return str(WORDS.get(status, status))


def icon(name: str, extra: str = "") -> SafeString:
    """Return an icon of the sprite; it says nothing to a screen reader."""
    css = f"icon {extra}".strip()
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#{}"/></svg>', css, static(SPRITE), name
    )


def badge(status: str) -> SafeString:
    """Return icon, word and colour of a status."""
    return format_html(
        '<span class="status" data-status="{}">{}<span>{}</span></span>',
        status,
        icon(f"status-{status}"),
        word(status),
    )
