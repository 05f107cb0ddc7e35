"""Form fields made from a JSON Schema; what has no simple field is asked for as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _

Schema = Mapping[str, Any]
_INPUT_TYPES = {"date": "date", "time": "time", "email": "email", "uri": "url"}
_LONG = 200
_NULL = {"type": "null"}
_REFERENCE = "#/$defs/"
UNSET, YES, NO = "", "true", "false"


class JsonText(forms.JSONField):
    """JSON in a textarea; `{}` and `[]` are answers too."""

    empty_values = [None, ""]
    widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "class": "code"})
    default_error_messages = {"invalid": _("This is not JSON: check its quotes, commas and brackets.")}

    def prepare_value(self, value: Any) -> Any:
        """Show a default as indented JSON, and what was typed as it was typed."""
        if isinstance(value, (forms.fields.InvalidJSONInput, str)) or value is None:
            return value
        return json.dumps(value, indent=2, ensure_ascii=False)


class Lines(forms.CharField):
    """A list of texts, one a line."""

    widget = forms.Textarea(attrs={"rows": 3})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(data) != (initial or [])


class Moment(forms.DateTimeField):
    """A time in the person's zone; the answer says which."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def prepare_value(self, value: Any) -> Any:
        known = parse_datetime(value) if isinstance(value, str) else None
        return super().prepare_value(known) if known and timezone.is_aware(known) else value

    def clean(self, value: Any) -> str | None:
        found = super().clean(value)
        return found.isoformat() if isinstance(found, datetime) else None


def make_field(name: str, spec: Schema, required: bool) -> forms.Field:
    """Return the field for one property of the schema; what has no simple form is asked for as JSON."""
    kind, nullable = _kind(spec)
    common: dict[str, Any] = {
        "label": spec.get("title") or name,
        "help_text": spec.get("description", ""),
        "initial": spec.get("default"),
        "required": required and not nullable,
    }
    if isinstance(spec.get("enum"), list):
        return _choice(spec["enum"], common)
    maker = _MAKERS.get(kind)
    return maker(spec, common) if maker else JsonText(**common)


def properties_of(schema: Schema | None) -> dict[str, Schema]:
    """Return the schema's properties, as plain as they can be said."""
    found = schema.get("properties") if schema and _kind(schema)[0] == "object" else None
    if schema is None or not isinstance(found, Mapping):
        return {}
    return {name: plain(spec, schema) for name, spec in found.items() if isinstance(spec, Mapping)}


def plain(spec: Schema, root: Schema) -> Schema:
    """Return the spec with its reference followed, and with "this, or null" said as one type."""
    reference = str(spec.get("$ref", ""))
    named = root.get("$defs", {}).get(reference.removeprefix(_REFERENCE))
    if reference.startswith(_REFERENCE) and isinstance(named, Mapping):
        spec = {**named, **{name: value for name, value in spec.items() if name != "$ref"}}
    either = spec.get("anyOf")
    others = [each for each in either if each != _NULL] if isinstance(either, list) else []
    if len(others) != 1 or not isinstance(others[0], Mapping) or not isinstance(others[0].get("type"), str):
        return spec
    beside = {name: value for name, value in spec.items() if name != "anyOf"}
    return {**others[0], **beside, "type": [others[0]["type"], "null"]}


def is_simple(schema: Schema | None) -> bool:
    """Say whether one field of its own can ask for what fits the schema."""
    return schema is not None and ("enum" in schema or _kind(schema)[0] in _MAKERS)


def _kind(spec: Schema) -> tuple[str, bool]:
    """Return the one type of a schema ("" when there are several) and whether null is one more."""
    kinds = spec.get("type")
    if isinstance(kinds, str):
        return kinds, False
    if not isinstance(kinds, list):
        return ("object" if "properties" in spec else ""), False
    others = [kind for kind in kinds if kind != "null"]
    return (others[0] if len(others) == 1 else ""), "null" in kinds


def _choice(values: list[Any], common: dict[str, Any]) -> forms.Field:
    choices = [(json.dumps(value), str(value)) for value in values if value is not None]
    if common["initial"] is None:
        choices.insert(0, ("", "–"))  # also where one must be chosen: nobody's choice is made for them
    common["initial"] = json.dumps(common["initial"]) if common["initial"] is not None else None
    return forms.TypedChoiceField(choices=choices, coerce=json.loads, empty_value=None, **common)


def _text(spec: Schema, common: dict[str, Any]) -> forms.Field:
    attrs = {"placeholder": str(spec["examples"][0])} if spec.get("examples") else {}
    if spec.get("format") == "date-time":
        return Moment(**common)
    if spec.get("maxLength", 0) > _LONG or spec.get("format") == "textarea":
        return forms.CharField(widget=forms.Textarea(attrs={"rows": 4} | attrs), **common)
    widget = forms.TextInput(attrs=attrs)
    widget.input_type = _INPUT_TYPES.get(str(spec.get("format")), "text")
    return forms.CharField(widget=widget, **common)


def _integer(spec: Schema, common: dict[str, Any]) -> forms.Field:
    least, most = _bounds(spec)
    return forms.IntegerField(min_value=least, max_value=most, step_size=spec.get("multipleOf"), **common)


def _number(spec: Schema, common: dict[str, Any]) -> forms.Field:
    field = forms.FloatField(min_value=spec.get("minimum"), max_value=spec.get("maximum"), **common)
    field.widget.attrs["step"] = "any"
    return field


def _boolean(_spec: Schema, common: dict[str, Any]) -> forms.Field:
    if common["required"] or common["initial"] is not None:
        return forms.BooleanField(**common | {"required": False})
    choices = [(UNSET, "–"), (YES, _("yes")), (NO, _("no"))]
    return forms.TypedChoiceField(choices=choices, coerce=json.loads, empty_value=None, **common)


def _array(spec: Schema, common: dict[str, Any]) -> forms.Field:
    items = spec.get("items")
    if not isinstance(items, Mapping):
        return JsonText(**common)
    if isinstance(items.get("enum"), list):
        given = common["initial"]
        chosen = [json.dumps(value) for value in given] if isinstance(given, list) else []
        choices = [(json.dumps(value), str(value)) for value in items["enum"]]
        widget = forms.CheckboxSelectMultiple
        return forms.TypedMultipleChoiceField(
            choices=choices, coerce=json.loads, empty_value=[], widget=widget, **common | {"initial": chosen}
        )
    return Lines(**common) if _kind(items)[0] == "string" else JsonText(**common)


_MAKERS = {"string": _text, "integer": _integer, "number": _number, "boolean": _boolean, "array": _array}


def _bounds(spec: Schema) -> tuple[int | None, int | None]:
    """Return the inclusive bounds of an integer."""
    least, most = spec.get("minimum"), spec.get("maximum")
    above, below = spec.get("exclusiveMinimum"), spec.get("exclusiveMaximum")
    return (above + 1 if isinstance(above, int) else least), (below - 1 if isinstance(below, int) else most)
