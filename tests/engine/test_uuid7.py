"""Keys that sort by their time."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from orchestration.engine.uuid7 import make

times = st.integers(0, 2**48 - 1)
chance = st.binary(min_size=10, max_size=10)


@given(times, chance)
def test_a_key_is_an_rfc_9562_uuid_of_version_7_that_holds_its_time(unix_ms, random):
    key = make(unix_ms, random)
    assert (key.version, key.variant) == (7, uuid.RFC_4122)
    assert key.int >> 80 == unix_ms


@given(times, times, chance, chance)
def test_a_later_key_sorts_after_an_earlier_one_in_every_form(first, second, one, other):
    a, b = make(first, one), make(second, other)
    if first != second:
        assert (a < b) == (str(a) < str(b)) == (a.bytes < b.bytes) == (first < second)


@given(times, chance, chance)
def test_all_74_random_bits_tell_keys_of_one_moment_apart(unix_ms, one, other):
    bits = (1 << 74) - 1
    same = int.from_bytes(one, "big") & bits == int.from_bytes(other, "big") & bits
    assert (make(unix_ms, one) == make(unix_ms, other)) == same
