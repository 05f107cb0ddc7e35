"""The form of an event."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from orchestration.engine.triggers import NAME_LIMIT

from .schema_fields import JsonText


class EmitForm(forms.Form):
    """What `executor.emit_event` is told."""

    name = forms.CharField(label=_("Event"), max_length=NAME_LIMIT)
    subject = forms.CharField(
        label=_("Subject"), required=False, max_length=500, help_text=_("What it is about, such as an order.")
    )
    id = forms.CharField(
        label=_("Id"),
        required=False,
        max_length=NAME_LIMIT,
        help_text=_("Your own: what is sent again under it counts once."),
    )
    field_order = ("name", "data", "subject", "id")

    def __init__(self, answers: Any = None, **options: Any) -> None:
        super().__init__(answers, label_suffix="", use_required_attribute=True, **options)
        # Not declared above: a form has a `data` of its own.
        self.fields["data"] = JsonText(
            label=_("Data"), help_text=_("JSON. Empty means null."), required=False
        )
        self.fields["data"].widget.attrs["rows"] = 10
        self.fields["name"].widget.attrs |= {"list": "event-names", "autocomplete": "off"}
        self.order_fields(self.field_order)
