"""A Django form made from a workflow's JSON Schema, and the input that its answers make."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

Schema = Mapping[str, Any]
PREFIX = "input."
WHOLE = "input"  # the one field of a form without a usable schema
_INPUT_TYPES = {"date": "date", "time": "time", "email": "email", "uri": "url"}
_LONG = 200
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


class StartForm(forms.Form):
    """What `executor.start` is told besides the input."""

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

    def __init__(
        self,
        schema: Schema | None,
        data: Mapping[str, Any] | None = None,
        *,
        whole: bool = False,
        cached: bool = False,
    ) -> None:
        super().__init__(data, label_suffix="", use_required_attribute=True)
        self.schema = schema
        if not cached:
            del self.fields["refresh"]
        self.properties = {} if whole else _properties(schema)
        if self.properties:
            needed = set((schema or {}).get("required", ()))
            for name, spec in self.properties.items():
                self.fields[PREFIX + name] = make_field(name, spec, name in needed)
        else:
            self.fields[WHOLE] = _whole(schema)

    def clean_tags(self) -> list[str]:
        return list(dict.fromkeys(tag.strip() for tag in self.cleaned_data["tags"].split(",") if tag.strip()))

    def input(self) -> Any:
        """Return the input that the valid answers make; what was left empty is left out."""
        if not self.properties:
            return self.cleaned_data[WHOLE]
        answers = {name: self.cleaned_data.get(PREFIX + name) for name in self.properties}
        return {name: value for name, value in answers.items() if not self._is_left_out(name, value)}

    def input_fields(self) -> list[forms.BoundField]:
        """Return the fields of the input, in the order of the schema."""
        return [self[name] for name in self.fields if name == WHOLE or name.startswith(PREFIX)]

    def option_fields(self) -> list[forms.BoundField]:
        """Return the fields beside the input."""
        return [self[name] for name in ("priority", "tags", "refresh") if name in self.fields]

    def refuse(self, errors: Iterable[Mapping[str, str]]) -> None:
        """Show the errors of the schema's check ({path, message}) at their fields."""
        for error in errors:
            name, rest = self._field_at(error["path"])
            self.add_error(name, f"{rest}: {error['message']}" if rest else error["message"])

    def _is_left_out(self, name: str, value: Any) -> bool:
        return value is None or value == "" or (value == [] and "default" not in self.properties[name])

    def _field_at(self, path: str) -> tuple[str | None, str]:
        first, _slash, rest = path.removeprefix("/").partition("/")
        field = PREFIX + first.replace("~1", "/").replace("~0", "~")
        if field in self.fields:
            return field, rest
        return (WHOLE, path.removeprefix("/")) if WHOLE in self.fields else (None, path.removeprefix("/"))


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


def _properties(schema: Schema | None) -> dict[str, Schema]:
    if not schema or _kind(schema)[0] != "object":
        return {}
    found = schema.get("properties")
    return (
        {name: spec for name, spec in found.items() if isinstance(spec, Mapping)}
        if isinstance(found, Mapping)
        else {}
    )


def _kind(spec: Schema) -> tuple[str, bool]:
    """Return the one type of a schema ("" when there are several) and whether null is one more."""
    kinds = spec.get("type")
    if isinstance(kinds, str):
        return kinds, False
    if not isinstance(kinds, list):
        return ("object" if "properties" in spec else ""), False
    others = [kind for kind in kinds if kind != "null"]
    return (others[0] if len(others) == 1 else ""), "null" in kinds


def _whole(schema: Schema | None) -> forms.Field:
    default = (schema or {}).get("default")
    starts = {name: spec["default"] for name, spec in _properties(schema).items() if "default" in spec}
    field = JsonText(label=_("Input"), help_text=_("JSON. Empty means no input."), required=False)
    field.initial = starts if default is None and starts else default
    field.widget.attrs["rows"] = 10
    return field


def _choice(values: list[Any], common: dict[str, Any]) -> forms.Field:
    choices = [(json.dumps(value), str(value)) for value in values if value is not None]
    if not common["required"] and common["initial"] is None:
        choices.insert(0, ("", "–"))
    common["initial"] = json.dumps(common["initial"]) if common["initial"] is not None else None
    return forms.TypedChoiceField(choices=choices, coerce=json.loads, empty_value=None, **common)


def _text(spec: Schema, common: dict[str, Any]) -> forms.Field:
    attrs = {"placeholder": str(spec["examples"][0])} if spec.get("examples") else {}
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
        chosen = [json.dumps(value) for value in common["initial"] or ()]
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
