"""JSON that is kept as it was written, on both databases."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration import models
from orchestration.store import versions
from orchestration.store.claim import claim
from orchestration.store.settle import settle

from .store_helpers import begin, done, seat

pytestmark = pytest.mark.django_db(transaction=True)
WRITTEN = '{"zebra": 1, "apple": {"b": 1.10, "a": [null, true, "123", ""]}, "much": 12345678901234567890123}'

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc\"'\\", max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def test_a_result_keeps_the_order_of_its_keys_and_the_digits_of_its_numbers():
    versions.forget_versions()
    id = begin({"a": []})
    settle(done(claim(seat(), 1), result=WRITTEN))
    row = models.NodeRun.objects.get(execution=id)
    assert list(row.result) == ["zebra", "apple", "much"]
    assert row.result["apple"] == {"b": 1.1, "a": [None, True, "123", ""]}
    assert row.result["much"] == 12345678901234567890123
    assert list(models.Execution.objects.get(pk=id).output["a"]) == ["zebra", "apple", "much"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=values)
def test_the_orm_gives_back_what_it_was_given(value):
    versions.forget_versions()
    id = begin({"a": []})
    models.Execution.objects.filter(pk=id).update(input=value)
    assert models.Execution.objects.get(pk=id).input == value
