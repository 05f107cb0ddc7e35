"""Conditions over an event's data: read whole or refused with the place, and answered without ever raising."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.engine.conditions import equal_to, holds, key_of, place, same, why_not
from orchestration.engine.errors import InvalidCondition
from orchestration.engine.grammar import DEPTH, parse

ORDER = {
    "amount": 150,
    "country": "FR",
    "test": False,
    "lines": [{"sku": "a"}, {"sku": "b"}],
    "a-b": {"c d": 1},
}


@pytest.mark.parametrize(
    "text",
    [
        'amount > 100 and country in ["FR", "DE"] and not test',
        "amount >= 150.0 and amount <= 1.5e2",
        "country == 'FR' or nothing",
        'lines[1].sku == "b" and lines[-1]["sku"] == "b"',
        'a-b["c d"] == 1',
        "missing == null and not missing",
        "not (amount < 100 or test)",
        '"R" in country and "Q" not in country',
        '"sku" in lines[0]',
        "test == false and test != 0",
        "country == \"FR\" and 'it\\'s' == \"it's\" and 'say \"so\"' != ''",
        "[1, 2] == [1.0, 2.0]",
    ],
)
def test_a_condition_holds(text):
    assert holds(parse(text), ORDER)


@pytest.mark.parametrize(
    "text",
    [
        "amount > country",
        "missing > 1",
        "missing < 1",
        "test == 0",
        "lines.sku",
        "lines[7]",
        "amount in country",
        "null",
    ],
)
def test_what_cannot_be_compared_or_is_not_there_is_false_and_no_error(text):
    assert not holds(parse(text), ORDER)


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("", 1, "a condition is a text"),
        ("amount >", 9, "something is missing at the end"),
        ("amount > 100 country", 14, "'country' does not belong here"),
        ("1 < amount < 3", 12, "a comparison has two sides"),
        ("amount = 1", 8, "'=' means nothing here"),
        ("(amount > 1", 12, "')' is missing at the end"),
        ("a and or b", 7, "a field, a number, a text or a list is missing before 'or'"),
        ("a.", 3, "a name is missing after the dot"),
        ("a[b]", 3, "a whole number or a text"),
        ("__import__('os')", 11, "'(' does not belong here"),
        ("a not b", 7, "'in' is missing"),
        ("x == 007", 6, "begins with a zero"),
        ('x == "\\ud800"', 6, "cannot be read"),
        ("not " * (DEPTH + 1) + "a", 165, "nested"),
        ("a" * 2001, 2000, "longer"),
    ],
)
def test_what_is_no_condition_is_refused_with_the_place_and_the_reason(text, place, why):
    with pytest.raises(InvalidCondition) as refused:
        parse(text)
    assert (refused.value.fields["place"], why in str(refused.value)) == (place, True), str(refused.value)


def test_a_condition_that_does_not_hold_says_which_part_and_what_it_saw():
    condition = parse('country == "FR" and amount > 200 and test')
    assert why_not(condition, ORDER) == "amount > 200 was false (amount is 150)"
    assert why_not(parse("not country"), ORDER) == 'not country was false (country is "FR")'


def test_equal_fields_are_a_condition_too():
    condition = equal_to({"country": "FR", "lines": ORDER["lines"]})
    assert holds(condition, ORDER)
    assert (
        why_not(equal_to({"customer.id": 7}), {"customer": {"id": 8}})
        == "customer.id == 7 was false (customer.id is 8)"
    )
    assert holds(equal_to({}), None)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.text(max_size=60) | st.text(alphabet="ab01 .,[]()<>=!'\"andornotin\\-", max_size=40), JSON)
def test_any_text_is_read_or_refused_and_any_data_answered(text, data):
    try:
        condition = parse(text)
    except InvalidCondition as refused:
        place = refused.fields["place"]
        assert 1 <= place <= max(1, len(text)) + 1
        return
    if not holds(condition, data):
        assert "was false" in why_not(condition, data)


@given(JSON, JSON)
def test_equality_of_values_is_that_of_what_is_written(left, right):
    if json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True):
        assert same(left, right)
    assert same(left, right) == same(right, left)


@st.composite
def conditions(draw, depth=3):
    """A condition's text, and what it is for Python."""
    if depth == 0 or draw(st.booleans()):
        name, sign = draw(st.sampled_from("abc")), draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
        number = draw(st.integers(-3, 3))
        return f"{name} {sign} {number}", f"d['{name}'] {sign} {number}"
    word = draw(st.sampled_from(["and", "or"]))
    (left, one), (right, two) = draw(conditions(depth - 1)), draw(conditions(depth - 1))
    no = draw(st.sampled_from(["", "not "]))
    return f"{no}({left}) {word} {right}", f"({no}({one})) {word} {two}"


@given(conditions(), st.fixed_dictionaries({name: st.integers(-3, 3) for name in "abc"}))
def test_and_or_and_not_mean_what_they_mean_in_python(condition, data):
    ours, python = condition
    assert holds(parse(ours), data) == eval(python, {"d": data})  # noqa: S307 - the texts are made above


@given(st.dictionaries(st.sampled_from(["a", "b.c", "d"]), JSON, max_size=3), JSON, JSON, JSON)
def test_what_a_condition_holds_for_is_found_by_its_shape_and_key(fields, a, c, d):
    for data in (
        {"a": a, "b": {"c": c}, "d": d},
        {"a": fields.get("a"), "b": {"c": fields.get("b.c")}, **fields},
    ):
        condition = equal_to(fields)
        shape, key = place(condition)
        if holds(condition, data):
            assert key_of(shape, data) == key


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("order == 7 and amount > 3", '[["order"]]'),
        (
            '"FR" == customer.country and (lines[0].sku == "a" and test)',
            '[["customer","country"],["lines",0,"sku"]]',
        ),
        ("order == 7 or test", ""),
        ("not order == 7", ""),
        ("amount > 3", ""),
    ],
)
def test_the_fields_that_must_have_one_value_are_a_conditions_shape(text, shape):
    assert place(parse(text))[0] == shape
    assert key_of(shape, {"order": 7.0}) == place(parse("order == 7"))[1] or shape != '[["order"]]'
