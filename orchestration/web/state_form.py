"""The form that changes one value of the shared state."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from orchestration.api import strictjson
from orchestration.engine.errors import Igon7Error
from orchestration.engine.state import KEY_LIMIT, check_key, check_ttl
from orchestration.models import StateEntry
from orchestration.store import clock


class StateForm(forms.Form):
    """`version` is the one that was shown, 0 where there was no value."""

    key = forms.CharField(label=_("Key"), max_length=KEY_LIMIT)
    value = forms.CharField(
        label=_("Value"),
        help_text=_("JSON: a number, a “text” in quotes, an object …"),
        widget=forms.Textarea(attrs={"rows": 8, "class": "code", "spellcheck": "false"}),
        strip=False,
    )
    ttl = forms.CharField(
        label=_("For how long"),
        required=False,
        max_length=40,
        help_text=_("Such as 30m or 2h. Empty: for ever."),
    )
    reason = forms.CharField(
        label=_("Reason"), required=False, max_length=500, help_text=_("Kept in the audit.")
    )
    version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)

    @classmethod
    def of(cls, entry: StateEntry) -> StateForm:
        """Return the form to change this value; it would expire when it does now."""
        text = json.dumps(entry.value, ensure_ascii=False, indent=2)
        left = (entry.expires_at - clock.now()).total_seconds() if entry.expires_at else 0.0
        about = {"key": entry.key, "value": text, "version": entry.version}
        return cls(initial={**about, "ttl": f"{max(1, round(left))}s" if entry.expires_at else ""})

    @property
    def is_new(self) -> bool:
        """Say whether there was no value when the form was shown."""
        return str(self["version"].value()) == "0"

    def renew(self, version: int) -> None:
        """Let the form speak of the version that is shown beside it now."""
        self.data = {**dict(self.data.items()), "version": str(version)}

    def clean_key(self) -> Any:
        return _checked(check_key, self.cleaned_data["key"])

    def clean_value(self) -> Any:
        return _checked(lambda text: strictjson.loads(text, str(_("The value"))), self.cleaned_data["value"])

    def clean_ttl(self) -> Any:
        return _checked(check_ttl, self.cleaned_data["ttl"].strip() or None)


def _checked(check: Any, given: Any) -> Any:
    try:
        return check(given)
    except Igon7Error as error:
        raise forms.ValidationError(str(error)) from None
