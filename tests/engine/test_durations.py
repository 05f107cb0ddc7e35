"""Durations as people write them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.engine.durations import LONGEST, seconds, spell
from orchestration.engine.errors import InvalidOption


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("300ms", 0.3), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172800), ("1w", 604800),
        (" 1H 30 M ", 5400), ("0s", 0), (0, 0), (2.5, 2.5), (timedelta(minutes=2), 120), (36_525 * 86_400, LONGEST),
    ],
)  # fmt: skip
def test_a_duration_is_read(value, expected):
    assert seconds(value) == pytest.approx(expected)


@pytest.mark.parametrize(
    "value",
    [
        "", "5", "5 minutes", "-5s", "5s!", "s", "1h-30m", "9" * 400 + "s", "36526d", -1, -0.001, True, None, [],
        Decimal(5), float("nan"), float("inf"), float("-inf"), 10**400, -(10**400), 1e12, timedelta(seconds=-1),
        timedelta.max,
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_what_is_no_duration_is_refused_by_naming_the_option(value):
    with pytest.raises(InvalidOption) as caught:
        seconds(value, 'timeout of node "a"')
    assert str(caught.value).startswith('timeout of node "a" is ')
    assert "it must be a duration from 0 to 100 years" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0ms"), (1e-9, "0ms"), (0.0004, "0.4ms"), (0.3, "300ms"), (1, "1s"), (59.9996, "1m"), (60, "1m"),
        (61.5, "1m1.5s"), (5400, "1h30m"), (86400, "1d"), (90061, "1d1h1m1s"), (LONGEST, "36525d"),
    ],
)  # fmt: skip
def test_a_duration_is_spelled_as_people_write_it(value, expected):
    assert spell(value) == expected


@given(st.floats(0, LONGEST) | st.floats(0, 2) | st.integers(0, 10**7).map(lambda ms: ms / 1000))
def test_what_is_spelled_reads_back_to_the_millisecond(value):
    assert seconds(spell(value)) == pytest.approx(value, abs=0.0006, rel=1e-12)
