"""The pages under “Security” in the console: which there are, and which of them a person sees."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from security.actions import AUDIT_VIEW, PERSON_VIEW, SECRET_VIEW
from security.policies import allowed
from security.principals import Principal


@dataclass(frozen=True, slots=True)
class Page:
    """A page, the action that it asks for (none: everybody's own), and the URL names that belong to it."""

    name: str
    title: str | Promise
    action: str | None = None
    also: tuple[str, ...] = ()

    @property
    def href(self) -> str:
        return reverse(self.name)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.also)


PAGES = (
    Page("account", _("Your account"), None, ("password", "enrol", "recovery", "step_up", "step_up_go_on")),
    Page("secrets", _("Secrets"), SECRET_VIEW),
    Page("people", _("People & roles"), PERSON_VIEW, ("person", "person_roles", "simulate", "grant_by_tag")),
    Page("audit", _("Audit"), AUDIT_VIEW, ("audit_export",)),
)
NAMES = frozenset(name for page in PAGES for name in page.names)


def pages_for(principal: Principal) -> list[Page]:
    """Return the pages that the principal may open, in order."""
    return [page for page in PAGES if page.action is None or allowed(principal, page.action)]
