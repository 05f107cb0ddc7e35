"""Forms from schemas: whatever a schema says, there is a form, and what it was shown it gives back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.web.schema_form import SchemaForm, SignalForm

pytestmark = pytest.mark.once
KINDS = ("string", "integer", "number", "boolean", "array", "object", "null")
FORMATS = ("date", "date-time", "time", "email", "uri", "textarea", "colour")
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("a1 \n", max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2),
    max_leaves=4,
)
specs = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(KINDS)
        | st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique=True),
        "enum": st.lists(anything, min_size=1, max_size=3),
        "default": anything,
        "format": st.sampled_from(FORMATS),
        "maxLength": st.integers(0, 500),
        "minimum": st.integers(-5, 5),
        "exclusiveMaximum": st.integers(-5, 5),
        "multipleOf": st.integers(1, 5),
        "items": st.just({"type": "string"}) | st.just({"enum": ["a", 1]}) | st.just(True),
        "examples": st.lists(anything, max_size=1),
        "title": st.text("ab", max_size=3),
        "$ref": st.sampled_from(["#/$defs/one", "#/$defs/none", "#"]),
        "anyOf": st.lists(st.just({"type": "string"}) | st.just({"type": "null"}) | st.just({}), min_size=1),
    },
)
schemas = st.fixed_dictionaries(
    {
        "type": st.just("object"),
        "properties": st.dictionaries(st.text("abc.", min_size=1, max_size=3), specs, max_size=4),
    },
    optional={
        "required": st.lists(st.text("abc.", max_size=3), max_size=2),
        "$defs": st.just({"one": {"type": "integer"}}),
    },
)


@given(schemas | specs, st.booleans())
def test_every_schema_has_a_form_that_can_be_shown_empty_and_sent_empty(schema: Any, whole: bool) -> None:
    for form in (SchemaForm(schema, whole=whole), SchemaForm(schema, {}, whole=whole)):
        assert len([str(field) for field in form.input_fields()]) >= 1
        form.is_valid()


def test_a_model_of_pydantic_has_fields_for_what_it_refers_to() -> None:
    schema = {
        "type": "object",
        "$defs": {"Way": {"enum": ["card", "cash"], "title": "Way", "type": "string"}},
        "properties": {
            "way": {"$ref": "#/$defs/Way"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "title": "Note"},
            "count": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        },
        "required": ["way"],
    }
    form = SignalForm(schema, {"name": "paid", "input.way": '"cash"', "input.note": "", "input.count": "3"})
    assert [field.widget_type for field in form.input_fields()] == ["select", "text", "textarea"]
    assert form.is_valid()
    assert form.value() == {"way": "cash", "count": 3}


def test_a_choice_that_is_needed_is_nobody_elses_than_the_persons() -> None:
    schema = {"type": "object", "required": ["way"], "properties": {"way": {"enum": ["card", "cash"]}}}
    assert '<option value="" selected>' in str(SchemaForm(schema)["input.way"])
    assert not SchemaForm(schema, {"input.way": ""}).is_valid()
