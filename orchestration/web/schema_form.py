"""A Django form made from a JSON Schema, and the value that its answers make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from orchestration.engine.signals import NAME_LIMIT

from .schema_fields import JsonText, Schema, is_simple, make_field, properties_of

PREFIX = "input."
WHOLE = "input"  # the one field where there are no properties to ask for


class SchemaForm(forms.Form):
    """A field for each property of the schema, or one for the whole; `whole` asks for it as JSON."""

    label = _("Input")
    empty = _("JSON. Empty means no input.")
    asks_anyway = True  # for any JSON, where there is no schema

    def __init__(
        self,
        schema: Schema | None,
        data: Mapping[str, Any] | None = None,
        *,
        whole: bool = False,
        ids: str = "id_%s",
        **options: Any,
    ) -> None:
        super().__init__(data, label_suffix="", use_required_attribute=True, auto_id=ids, **options)
        self.schema = schema
        self.properties = {} if whole else properties_of(schema)
        needed = (schema or {}).get("required", ())
        for name, spec in self.properties.items():
            self.fields[PREFIX + name] = make_field(name, spec, name in needed)
        if not self.properties and (self.asks_anyway or schema is not None):
            self.fields[WHOLE] = self._whole(schema, whole)

    def value(self) -> Any:
        """Return what the valid answers make; what was left empty is left out."""
        if not self.properties:
            return self.cleaned_data.get(WHOLE)
        answers = {name: self.cleaned_data.get(PREFIX + name) for name in self.properties}
        return {name: value for name, value in answers.items() if not self._is_left_out(name, value)}

    def input_fields(self) -> list[forms.BoundField]:
        """Return the fields that the schema asks for, in its order."""
        return [self[name] for name in self.fields if name == WHOLE or name.startswith(PREFIX)]

    def refuse(self, error: Any) -> None:
        """Show an error at the fields that its `errors` ({path, message}) name, or over the form."""
        named: Iterable[Mapping[str, str]] = getattr(error, "errors", None) or ()
        for each in named:
            name, rest = self._field_at(each["path"])
            self.add_error(name, f"{rest}: {each['message']}" if rest else each["message"])
        if not named:
            self.add_error(None, str(error))

    def _whole(self, schema: Schema | None, whole: bool) -> forms.Field:
        if schema is not None and is_simple(schema) and not whole:
            return make_field(str(self.label), schema, True)
        default = (schema or {}).get("default")
        starts = {name: spec["default"] for name, spec in properties_of(schema).items() if "default" in spec}
        field = JsonText(label=self.label, help_text=self.empty, required=False)
        field.initial = starts if default is None and starts else default
        field.widget.attrs["rows"] = 10
        return field

    def _is_left_out(self, name: str, value: Any) -> bool:
        return value is None or value == "" or (value == [] and "default" not in self.properties[name])

    def _field_at(self, path: str) -> tuple[str | None, str]:
        first, _slash, rest = path.removeprefix("/").partition("/")
        field = PREFIX + first.replace("~1", "/").replace("~0", "~")
        if field in self.fields:
            return field, rest
        return (WHOLE, path.removeprefix("/")) if WHOLE in self.fields else (None, path.removeprefix("/"))


class StartForm(SchemaForm):
    """An input, and what `executor.start` is told besides."""

    priority = forms.TypedChoiceField(
        label=_("Priority"),
        coerce=int,
        initial=3,
        choices=[(1, _("1 – first")), (2, "2"), (3, _("3 – normal")), (4, "4"), (5, _("5 – last"))],
    )
    tags = forms.CharField(
        label=_("Tags"), required=False, max_length=500, help_text=_("Separated by commas.")
    )
    refresh = forms.BooleanField(
        label=_("Ignore cached results"), required=False, help_text=_("Compute them anew, and keep these.")
    )

    def __init__(self, *given: Any, cached: bool = False, **options: Any) -> None:
        super().__init__(*given, **options)
        if not cached:
            del self.fields["refresh"]

    def clean_tags(self) -> list[str]:
        return list(dict.fromkeys(tag.strip() for tag in self.cleaned_data["tags"].split(",") if tag.strip()))

    def option_fields(self) -> list[forms.BoundField]:
        """Return the fields beside the input."""
        return [self[name] for name in ("priority", "tags", "refresh") if name in self.fields]


class PayloadForm(SchemaForm):
    """A signal's payload."""

    label = _("Payload")
    empty = _("JSON. Empty means null.")


class SignalForm(PayloadForm):
    """A payload, and what `executor.send_signal` is told besides."""

    name = forms.CharField(label=_("Signal"), max_length=NAME_LIMIT)
    id = forms.CharField(
        label=_("Id"),
        required=False,
        max_length=NAME_LIMIT,
        help_text=_("Your own: what is sent again under it counts once."),
    )


class AnswerForm(SchemaForm):
    """The answers to what an approval asks."""

    label = _("Answer")
    asks_anyway = False
