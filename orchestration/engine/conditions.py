"""What conditions over an event's data (see `grammar`) mean, and by which values those that ask for them are found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from .grammar import All, Compare, Condition, Either, Field, ListOf, Literal, Not

SHAPE_LIMIT = 250  # characters of the names of fields by which a condition is found


# --- answering -------------------------------------------------------------------------------------


def holds(condition: Condition, data: Any) -> bool:
    """Say whether the condition holds for the data. Never raises."""
    match condition:
        case All(parts):
            return all(holds(part, data) for part in parts)
        case Either(parts):
            return any(holds(part, data) for part in parts)
        case Not(of):
            return not holds(of, data)
        case Compare(left, sign, right):
            return _compare(_value(left, data), sign, _value(right, data))
    return bool(_value(condition, data))


def _value(condition: Condition, data: Any) -> Any:
    match condition:
        case Literal(value):
            return value
        case Field(path):
            return find(data, path)
        case ListOf(parts):
            return [_value(part, data) for part in parts]
    return holds(condition, data)


def find(data: Any, path: tuple[str | int, ...]) -> Any:
    """Return what stands there, or None."""
    for step in path:
        if isinstance(data, Mapping) and isinstance(step, str):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and -len(data) <= step < len(data):
            data = data[step]
        else:
            return None
    return data


def _compare(left: Any, sign: str, right: Any) -> bool:
    if sign in ("==", "!="):
        return same(left, right) is (sign == "==")
    if sign in ("in", "not in"):
        return _is_in(left, right) is (sign == "in")
    numbers = _is_number(left) and _is_number(right)
    if not numbers and not (isinstance(left, str) and isinstance(right, str)):
        return False
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign])


def _is_in(one: Any, many: Any) -> bool:
    if isinstance(many, list):
        return any(same(one, each) for each in many)
    if isinstance(many, str):
        return isinstance(one, str) and one in many
    return isinstance(many, Mapping) and isinstance(one, str) and one in many


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same(left: Any, right: Any) -> bool:
    """Say whether two JSON values are equal: 1 is 1.0, and true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    return bool(left == right)


def why_not(condition: Condition, data: Any) -> str:
    """Return which part was false, and what the fields in it are: "amount > 100 was false (amount is 50)"."""
    part = _culprit(condition, data)
    said = [f"{field.text} is {_short(find(data, field.path))}" for field in dict.fromkeys(_fields(part))]
    return f"{part.text} was false" + (f" ({', '.join(said[:4])})" if said else "")


def _culprit(condition: Condition, data: Any) -> Condition:
    if isinstance(condition, All):
        return _culprit(next(part for part in condition.of if not holds(part, data)), data)
    return condition


def _fields(condition: Condition) -> Iterator[Field]:
    match condition:
        case Field():
            yield condition
        case Compare(left, _, right):
            yield from _fields(left)
            yield from _fields(right)
        case Not(of):
            yield from _fields(of)
        case All(parts) | Either(parts) | ListOf(parts):
            for part in parts:
                yield from _fields(part)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"


# --- finding who asks for what ---------------------------------------------------------------------


def equalities(condition: Condition | None) -> dict[tuple[str | int, ...], Any]:
    """Return the fields that must each have one value for the condition to hold."""
    found: dict[tuple[str | int, ...], Any] = {}
    for part in condition.of if isinstance(condition, All) else (condition,):
        match part:
            case Compare(Field(path), "==", Literal(value)) | Compare(Literal(value), "==", Field(path)):
                found.setdefault(path, value)
            case All():
                found = equalities(part) | found
    return found


def place(condition: Condition | None) -> tuple[str, str]:
    """Return (shape, key): the names of the fields that `equalities` gives, and what stands for their values.

    Data for which the condition holds has this key, by `key_of`, for this shape. Both are "" where there is no such
    field.
    """
    needed = equalities(condition)
    paths = sorted(needed, key=json.dumps)
    shape = json.dumps(paths, ensure_ascii=False, separators=(",", ":")) if paths else ""
    return (shape, _key([needed[path] for path in paths])) if 0 < len(shape) <= SHAPE_LIMIT else ("", "")


def key_of(shape: str, data: Any) -> str:
    """Return what stands for the values that the data has in the fields of the shape."""
    return _key([find(data, tuple(path)) for path in json.loads(shape)]) if shape else ""


def _key(values: list[Any]) -> str:
    text = json.dumps(_alike(values), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _alike(value: Any) -> Any:
    """Return the value so that values which are the same are written the same: 1.0 as 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_alike(each) for each in value]
    return {name: _alike(each) for name, each in value.items()} if isinstance(value, Mapping) else value


def equal_to(fields: Mapping[str, Any]) -> Condition:
    """Return the condition that each of these fields has this value; a name with dots leads into objects."""
    parts = tuple(
        Compare(Field(tuple(name.split(".")), name), "==", Literal(value, ""), f"{name} == {_short(value)}")
        for name, value in fields.items()
    )
    return All(parts, " and ".join(part.text for part in parts))
