"""The options of workflows and nodes: each is checked where it is given, and refused by its name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .codec import dump_payload
from .durations import Duration, seconds
from .errors import GraphError, InvalidOption
from .graph import NODE_ID_LIMIT
from .permissions import Permissions
from .policies import CachePolicy, ErrorType, Handles, RetryPolicy, check_types
from .signals import check_name

PARAMS_LIMIT = 256 * 1024
_QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def identifier(what: str, value: Any) -> str:
    fits = isinstance(value, str) and 0 < len(value) <= NODE_ID_LIMIT
    if not fits or value != value.strip() or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in value):
        expected = f"a text of 1 to {NODE_ID_LIMIT} characters without control characters or outer spaces"
        raise InvalidOption(option=what, value=value, expected=expected)
    return str(value)


def queue_name(id: str, queue: Any) -> str:
    if not isinstance(queue, str) or not _QUEUE_NAME.fullmatch(queue):
        expected = "a name of up to 63 letters, digits, dots, hyphens and underscores"
        raise InvalidOption(option=f'queue of node "{id}"', value=queue, expected=expected)
    return queue


def node_names(id: str, names: Iterable[str], option: str = "depends_on") -> tuple[str, ...]:
    if isinstance(names, str):
        raise GraphError(f'{option} of node "{id}" is the text "{names}"; give a list: ["{names}"].')
    if not isinstance(names, Iterable):
        raise GraphError(f'{option} of node "{id}" is {names!r}; give a list of node ids.')
    for name in (found := in_order(names)):
        if not isinstance(name, str):
            raise GraphError(f'{option} of node "{id}" holds {name!r}; give the ids of nodes, as texts.')
    return found


def handles(
    id: str, on_error: bool, for_nodes: Iterable[str] | None, error_types: Iterable[ErrorType]
) -> Handles | None:
    types = check_types(f'error_types of node "{id}"', error_types)
    nodes = tuple(dict.fromkeys(node_names(id, for_nodes, "for_nodes"))) if for_nodes is not None else None
    if on_error:
        return Handles(nodes, types)
    if nodes is not None or types:
        raise GraphError(
            f'Node "{id}" has for_nodes or error_types and is no error boundary. Add on_error=True.'
        )
    return None


def in_order(names: Iterable[Any]) -> tuple[Any, ...]:
    """Return the names in an order of their own: a set's differs between processes, the checksum must not."""
    return tuple(sorted(names, key=str) if isinstance(names, (set, frozenset)) else names)


def limit(id: str, option: str, given: Duration | None) -> float | None:
    return seconds(given, f'{option} of node "{id}"') if given is not None else None


def retry_policy(id: str, policy: Any) -> RetryPolicy | None:
    if policy is not None and not isinstance(policy, RetryPolicy):
        raise InvalidOption(option=f'retry of node "{id}"', value=policy, expected="a RetryPolicy")
    return policy


def cache_policy(id: str, policy: Any) -> CachePolicy | None:
    if policy is not None and not isinstance(policy, CachePolicy):
        raise InvalidOption(option=f'cache of node "{id}"', value=policy, expected="a CachePolicy")
    return policy


def permissions_of(id: str, given: Any) -> Permissions | None:
    if given is not None and not isinstance(given, Permissions):
        raise InvalidOption(option=f'permissions of node "{id}"', value=given, expected="Permissions(…)")
    return given


def truth(what: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidOption(option=what, value=value, expected="True or False")
    return value


def plain(what: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plain-JSON copy, so that nobody changes a built graph through a value they kept."""
    if not isinstance(value, Mapping):
        raise InvalidOption(option=what, value=value, expected="a mapping")
    copy: dict[str, Any] = json.loads(dump_payload(dict(value), what, PARAMS_LIMIT))
    return copy


_TYPES: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
    type(None): "null",
}


def schema(what: str, given: Any) -> dict[str, Any]:
    """Return the JSON Schema that is given, or that a type stands for."""
    if isinstance(given, type) and given in _TYPES:
        return {"type": _TYPES[given]}
    if isinstance(given, type) and hasattr(given, "model_json_schema"):
        given = given.model_json_schema()
    if not isinstance(given, Mapping):
        expected = "a mapping (a JSON Schema), a pydantic model, or one of str, int, float, bool, list, dict"
        raise InvalidOption(option=what, value=given, expected=expected)
    return plain(what, given)


def signal_schemas(given: Any) -> dict[str, dict[str, Any]]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidOption(
            option="signals", value=given, expected='a mapping such as {"paid": {"type": "object"}}'
        )
    found = {}
    for name, shape in given.items():
        check_name(name, "the name of a signal")
        found[name] = schema(f'the schema of signal "{name}"', shape)
    return found
