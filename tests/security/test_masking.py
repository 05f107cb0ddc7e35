"""What a process has read does not leave it, in whatever form."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security import masking

VALUES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=8, max_size=40
).filter(lambda text: len(text.strip()) >= 8)
AROUND = st.binary(max_size=7)


@pytest.fixture(autouse=True)
def _forgetful():
    masking.forget()
    yield
    masking.forget()


@given(VALUES, st.sampled_from([str, json.dumps, quote, quote_plus, repr, lambda text: text.encode().hex()]))
def test_a_value_is_masked_in_its_common_forms(value, form):
    masking.forget()
    masking.learn(value)
    said = form(value)
    assert masking.MASK in masking.mask(f"before {said} after")
    assert said.strip("\"'") not in masking.mask(f"before {said} after")


@given(VALUES, AROUND, AROUND, st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]))
def test_base64_is_masked_wherever_the_value_stands_in_what_was_encoded(value, before, after, encode):
    masking.forget()
    masking.learn(value)
    text = encode(before + value.encode() + after).decode()
    left = masking.mask(text).replace(masking.MASK, "")
    assert len(left) <= -(-(len(before) + len(after)) * 4 // 3) + 8  # no more than what is around it
    assert masking.MASK in masking.mask(text)


@given(
    VALUES,
    st.recursive(
        st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ),
)
def test_json_stays_json_and_what_holds_no_secret_stays_as_it_is(value, other):
    masking.forget()
    masking.learn(value)
    text = json.dumps({"a": value, value: [value], "n": other})
    assert value not in str(json.loads(masking.mask_json(text)).get("a"))
    assert masking.MASK in json.loads(masking.mask_json(text))


def test_a_number_that_is_a_secret_is_masked():
    masking.learn("12345678")
    assert json.loads(masking.mask_json('{"pin": 12345678, "yes": true}')) == {"pin": "•••", "yes": True}


def test_each_long_line_of_a_value_with_several_is_masked():
    masking.learn("-----BEGIN-----\nMIIBOgIBAAJBAK\nx\n")
    assert masking.mask("line MIIBOgIBAAJBAK and x") == "line ••• and x"
