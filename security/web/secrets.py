"""Secrets in the console: what is known of them, and changing them. No page shows a value, not even one just typed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from security.actions import CONSOLE_OPEN, SECRET_CHANGE
from security.policies import allowed, visible_to
from security.principals import Principal
from security.secret_models import Secret, SecretUse
from security.secrets import writing
from security.secrets.backends import LONGEST
from security.secrets.errors import SecretError
from security.web.guard import requires


class ValueForm(forms.Form):
    """A new version. The value is kept as it was typed, and never rendered."""

    value = forms.CharField(label=_("Value"), max_length=LONGEST, strip=False)

    def clean_value(self) -> str:
        """Return it as it was pasted on any system: forms send line ends as CR LF."""
        return str(self.cleaned_data["value"]).replace("\r\n", "\n")


class SecretForm(ValueForm):
    """A new secret."""

    name = forms.CharField(label=_("Name"), max_length=100)
    description = forms.CharField(label=_("Description"), max_length=500, required=False)
    workflows = forms.CharField(label=_("Only for workflows"), max_length=2000, required=False)
    tags = forms.CharField(label=_("Only for tags"), max_length=2000, required=False)
    rotate_days = forms.IntegerField(
        label=_("Overdue after days"), min_value=1, max_value=36500, required=False
    )

    def clean_workflows(self) -> list[str]:
        return _parts(self.cleaned_data["workflows"])

    def clean_tags(self) -> list[str]:
        return _parts(self.cleaned_data["tags"])


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _secret(principal: Principal, name: str) -> Secret:
    return get_object_or_404(visible_to(principal, Secret.objects.all()), name=name)


@require_GET
@requires(CONSOLE_OPEN)
def secrets(request: HttpRequest) -> HttpResponse:
    """List the secrets that the person may view."""
    return _page(request)


@sensitive_post_parameters("value")
@require_POST
@requires(SECRET_CHANGE)
def new(request: HttpRequest) -> HttpResponse:
    """Keep a new secret."""
    form = SecretForm(request.POST)
    name = request.POST.get("name", "")
    if Secret.objects.filter(name=name).exists():
        form.add_error("name", _("There is a secret of this name; give it a new version."))
    return _keep(request, form, name)


@sensitive_post_parameters("value")
@require_POST
@requires(SECRET_CHANGE, _secret)
def version(request: HttpRequest, row: Secret) -> HttpResponse:
    """Keep a new version."""
    return _keep(request, ValueForm(request.POST), row.name)


@require_POST
@requires(SECRET_CHANGE, _secret)
def disable(request: HttpRequest, row: Secret, number: int) -> HttpResponse:
    """Disable a version."""
    try:
        writing.disable(Principal.for_request(request), row, number)
    except SecretError as error:
        return _page(request, str(error))
    messages.success(
        request, _("Version %(number)s of %(name)s is disabled.") % {"number": number, "name": row.name}
    )
    return redirect("secrets")


@require_POST
@requires(SECRET_CHANGE, _secret)
def delete(request: HttpRequest, row: Secret) -> HttpResponse:
    """Delete a secret, whose name has been typed."""
    if request.POST.get("confirm") != row.name:
        return _page(request, _("Nothing was deleted: type the secret's name."))
    writing.delete(Principal.for_request(request), row)
    messages.success(request, _("%(name)s is deleted.") % {"name": row.name})
    return redirect("secrets")


def _keep(request: HttpRequest, form: forms.Form, name: str) -> HttpResponse:
    if not form.is_valid():
        said = [f"{form[field].label}: {error}" for field, errors in form.errors.items() for error in errors]
        return _page(request, " ".join(said))
    given = {key: value for key, value in form.cleaned_data.items() if key != "name"}
    try:
        kept = writing.put(Principal.for_request(request), name, **given)
    except SecretError as error:
        return _page(request, str(error))
    messages.success(
        request, _("Version %(number)s of %(name)s is kept.") % {"number": kept.number, "name": name}
    )
    return redirect("secrets")


def _page(request: HttpRequest, refused: Any = "") -> HttpResponse:
    principal = Principal.for_request(request)
    rows: QuerySet[Secret] = visible_to(principal, Secret.objects.prefetch_related("versions"))
    uses: dict[str, list[SecretUse]] = {}
    for use in SecretUse.objects.filter(name__in=rows.values("name")):
        uses.setdefault(use.name, []).append(use)
    shown = [(row, uses.get(row.name, []), allowed(principal, SECRET_CHANGE, row)) for row in rows]
    context = {"rows": shown, "may_make": allowed(principal, SECRET_CHANGE), "refused": refused}
    answer = render(request, "security/secrets.html", context, status=400 if refused else 200)
    answer["Cache-Control"] = "no-store"
    return answer
