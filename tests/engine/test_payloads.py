"""What bodies return, as JSON text; and what cannot be, with the place where it is."""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from collections import UserDict, namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.engine.codec import MAX_DEPTH, dump_payload
from orchestration.engine.errors import NotSerialisable, PayloadTooLarge

Point = namedtuple("Point", "x y")
LIMIT = 10_000


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Flight:
    carrier: str
    delay: float
    stops: list[Any] = field(default_factory=list)


class Model:
    def model_dump(self, mode: str) -> dict[str, str]:
        return {"mode": mode}


def dump(value: Any) -> str:
    return dump_payload(value, 'The result of node "a"', LIMIT)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (dt.datetime(2013, 1, 31, 12, tzinfo=dt.UTC), "2013-01-31T12:00:00+00:00"),
        (dt.date(2013, 1, 31), "2013-01-31"),
        (dt.time(12, 30), "12:30:00"),
        (dt.timedelta(minutes=1.5), 90.0),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.10"), "1.10"),
        (Colour.RED, "red"),
        (Flight("AA", 1.5), {"carrier": "AA", "delay": 1.5, "stops": []}),
        ([Flight("AA", 1.5, [Point(1, Colour.RED)])], [{"carrier": "AA", "delay": 1.5, "stops": [[1, "red"]]}]),
        (Model(), {"mode": "json"}),
        (MappingProxyType({"a": UserDict({"b": 1})}), {"a": {"b": 1}}),
        (Point(1, (2, 3)), [1, [2, 3]]),
        ({7: None, True: 2, None: 3}, {"7": None, "true": 2, "null": 3}),
        ("été ☃ \\u0000", "été ☃ \\u0000"),
        (None, None),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_a_value_is_kept_as_plain_json(value, expected):
    assert json.loads(dump(value)) == expected


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("\\u0\0"))
def test_every_text_is_kept_as_it_is_or_refused_for_its_nul(text):
    if "\0" in text:
        with pytest.raises(NotSerialisable, match="a text in it contains a NUL character"):
            dump({"a": [text]})
    else:
        assert json.loads(dump({"a": [text]})) == {"a": [text]}


def _self_containing() -> list[Any]:
    value: list[Any] = []
    value.append({"again": value})
    return value


def _nested(depth: int, inner: Any = None) -> Any:
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"rows": [1, {"mean": float("nan")}]}, "$.rows[1].mean is nan, which JSON cannot hold"),
        ([{"fine": [1]}, float("-inf")], "$[1] is -inf"),
        (Flight("AA", float("nan")), "$.delay is nan"),
        (b"bytes", "$ is a bytes"),
        ({"tags": {1, 2}}, "$.tags is a set"),
        ([0, SimpleNamespace()], "$[1] is a SimpleNamespace"),
        (Flight, "$ is a type"),
        ({"a": {(1, 2): 3}}, "$.a has the key (1, 2), which is not a text"),
        ((1, lambda: None), "$[1] is a function"),
        (_self_containing(), "is nested too deeply or contains itself"),
        (_nested(100_000), "it is nested too deeply or contains itself"),
        (_nested(MAX_DEPTH + 1), f"it is nested more than {MAX_DEPTH} deep"),
        (_nested(MAX_DEPTH + 1, "\0"), "NUL"),
        ({"a\0": 1}, "NUL"),
        (Flight("\\\0", 0), "NUL"),
        ({"a": "\ud800"}, "a text in it contains a lone surrogate"),
        (10**5000, "Exceeds the limit"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:30],
)
def test_what_json_cannot_hold_is_refused_with_its_place(value, said):
    with pytest.raises(NotSerialisable) as caught:
        dump(value)
    assert str(caught.value).startswith('The result of node "a" cannot be kept as JSON: ')
    assert said in str(caught.value)
    assert "ctx.artifact()" in str(caught.value)


def test_deep_and_wide_data_within_the_bounds_is_kept():
    assert json.loads(dump(_nested(MAX_DEPTH))) == _nested(MAX_DEPTH)
    assert json.loads(dump([[]] * 2 * MAX_DEPTH)) == [[]] * 2 * MAX_DEPTH
    brackets = {'[[[{{{"\\': "]" * MAX_DEPTH + "[" * 2 * MAX_DEPTH}
    assert json.loads(dump(brackets)) == brackets


def test_the_limit_is_of_bytes_and_names_both_numbers():
    assert dump("x" * (LIMIT - 2))
    with pytest.raises(PayloadTooLarge) as caught:
        dump("é" * (LIMIT // 2))
    assert f'The result of node "a" is {LIMIT + 2} bytes; the limit is {LIMIT}.' in str(caught.value)
    assert caught.value.status == 413
