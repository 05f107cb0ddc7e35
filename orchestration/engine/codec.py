"""Graph <-> canonical JSON, its checksum, and the JSON that payloads are kept as."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import hashlib
import json
import math
import re
import uuid
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from .errors import CodecError, InvalidOption, NotSerialisable, PayloadTooLarge
from .graph import Graph, NodeSpec, make_graph
from .permissions import Permissions
from .policies import AtLeast, Bound, CachePolicy, Handles, Items, Join, Repeat, RetryPolicy, check_join

FORMAT = 1
MAX_DEPTH = 500  # SQLite checks JSON to a depth of 1,000 (https://www.sqlite.org/json1.html), PostgreSQL to its stack's
_NUL = re.compile(
    r"(?<!\\)(?:\\\\)*\\u0000"
)  # as JSON writes it; behind an odd backslash it is six plain characters
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])')


# --- payloads --------------------------------------------------------------------------------------


# What a process does to every payload before it is kept; empty until it knows a secret.
masks: dict[str, Callable[[str], str]] = {}


def dump_payload(value: Any, what: str, limit: int) -> str:
    """Return the value as compact JSON text.

    datetimes, dates, times, timedeltas (as seconds), UUIDs, Decimals, enums, dataclasses, mappings and pydantic
    models are encoded; reading gives plain JSON back. Raises NotSerialisable (naming the place in the value) or
    PayloadTooLarge.
    """
    try:
        text = json.dumps(value, default=_encode, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise NotSerialisable(what=what, reason=_explain(value, error)) from None
    for mask in masks.values():
        text = mask(text)
    # PostgreSQL's jsonb cannot hold NUL, and no encoding can hold a lone surrogate.
    if "\\u0000" in text and _NUL.search(text):
        raise NotSerialisable(what=what, reason="a text in it contains a NUL character")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise NotSerialisable(what=what, reason="a text in it contains a lone surrogate") from None
    if size > limit:
        raise PayloadTooLarge(what=what, size=size, limit=limit)
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise NotSerialisable(what=what, reason=f"it is nested more than {MAX_DEPTH} deep")
    return text


def _depth(text: str) -> int:
    deepest = depth = 0
    for token in _TOKENS.finditer(text):
        depth += (token[1] is not None) - (token[2] is not None)
        deepest = max(deepest, depth)
    return deepest


def _encode(value: Any) -> Any:
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (uuid.UUID, decimal.Decimal)):
        return str(value)
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _explain(value: Any, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply or contains itself"
    found = _locate(value, "$", 0)
    return found or str(error)


def _locate(value: Any, path: str, depth: int) -> str | None:
    """Return a sentence that names the first place that is not JSON, or None."""
    if depth > 50:
        return f"{path} is nested too deeply or contains itself"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path} is {value}, which JSON cannot hold"
    if value is None or isinstance(value, (str, int, float, bool)):
        return None
    if isinstance(value, dict):
        return _locate_in_mapping(value, path, depth)
    if isinstance(value, (list, tuple)):
        found = (_locate(item, f"{path}[{number}]", depth + 1) for number, item in enumerate(value))
        return next(filter(None, found), None)
    try:
        return _locate(_encode(value), path, depth + 1)
    except TypeError:
        return f"{path} is a {type(value).__name__}"


def _locate_in_mapping(value: Mapping[Any, Any], path: str, depth: int) -> str | None:
    for key, item in value.items():
        if not isinstance(key, (str, int, float, bool, type(None))):
            return f"{path} has the key {key!r}, which is not a text"
        if found := _locate(item, f"{path}.{key}", depth + 1):
            return found
    return None


# --- graphs ----------------------------------------------------------------------------------------


def canonical(value: Any) -> str:
    """Return the one JSON text that equal values share."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_encode)


def checksum(definition: Mapping[str, Any]) -> str:
    """Return the SHA-256 hex digest of the canonical definition."""
    return hashlib.sha256(canonical(definition).encode()).hexdigest()


def encode_graph(graph: Graph) -> dict[str, Any]:
    """Return the graph as plain JSON data; defaults are left out, so that new options do not change old checksums."""
    data: dict[str, Any] = {"format": FORMAT, "name": graph.name}
    data["nodes"] = [_encode_node(node) for node in graph.nodes.values()]
    if graph.output is not None:
        data["output"] = graph.output
    if graph.timeout is not None:
        data["timeout"] = graph.timeout
    if graph.on_failure != "finish":
        data["on_failure"] = graph.on_failure
    if graph.signals:
        data["signals"] = {name: dict(schema) for name, schema in graph.signals.items()}
    return data


_NODE_DEFAULTS = NodeSpec("", "")
_PLAIN = ("lane", "timeout", "queue", "priority", "fallback", "on_exhausted", "when", "compensate",
          "queue_timeout", "deadline", "heartbeat_timeout", "transactional")  # fmt: skip


def _encode_node(node: NodeSpec) -> dict[str, Any]:
    data: dict[str, Any] = {"id": node.id, "body": node.body}
    data |= {n: getattr(node, n) for n in _PLAIN if getattr(node, n) != getattr(_NODE_DEFAULTS, n)}
    if node.depends_on:
        data["depends_on"] = list(node.depends_on)
    if node.join != "all_success":
        data["join"] = {"at_least": node.join.count} if isinstance(node.join, AtLeast) else node.join
    if node.params:
        data["params"] = dict(node.params)
    if node.retry is not None:
        data["retry"] = _encode_retry(node.retry)
    data |= {
        name: encode(given)
        for name, encode in _POLICIES.items()
        if (given := getattr(node, name)) is not None
    }
    return data


_CACHE_DEFAULTS = CachePolicy(ttl=1)


def _encode_cache(policy: CachePolicy) -> dict[str, Any]:
    """Return the policy as data; a function cannot be, so its key_fn is that of the installed code."""
    names = ("store", "scope", "tags")
    given = {n: getattr(policy, n) for n in names if getattr(policy, n) != getattr(_CACHE_DEFAULTS, n)}
    return {"ttl": policy.ttl} | {n: list(v) if isinstance(v, tuple) else v for n, v in given.items()}


_PERMISSIONS_DEFAULTS = Permissions(require_mfa=True)


def _encode_permissions(given: Permissions) -> dict[str, Any]:
    data: dict[str, Any] = {"require_mfa": True} if given.require_mfa else {}
    for name in ("required_roles", "allowed_users", "on_denied", "mfa_max_age"):
        if (value := getattr(given, name)) != getattr(_PERMISSIONS_DEFAULTS, name):
            data[name] = list(value) if isinstance(value, tuple) else value
    return data


def _encode_repeat(policy: Repeat) -> dict[str, Any]:
    return dataclasses.asdict(policy)


def _encode_items(items: Items) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(items).items() if value not in (None, 0)}


def _encode_bound(bound: Bound) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(bound).items() if value is not None}


def _encode_handles(handles: Handles) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if handles.for_nodes is not None:
        data["for_nodes"] = list(handles.for_nodes)
    if handles.error_types:
        data["error_types"] = list(handles.error_types)
    return data


def _decode_handles(data: Mapping[str, Any]) -> Handles:
    nodes = data.get("for_nodes")
    return Handles(tuple(nodes) if nodes is not None else None, tuple(data.get("error_types", ())))


_RETRY_DEFAULTS = RetryPolicy()
_RETRY_FIELDS = [f.name for f in dataclasses.fields(RetryPolicy) if f.compare]


def _encode_retry(policy: RetryPolicy) -> dict[str, Any]:
    data = {n: getattr(policy, n) for n in _RETRY_FIELDS if getattr(policy, n) != getattr(_RETRY_DEFAULTS, n)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}


# What is encoded in its own way where a node has it, in the order in which a definition tells it.
_POLICIES: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "handles": _encode_handles,
    "cache": _encode_cache,
    "repeat": _encode_repeat,
    "items": _encode_items,
    "bound": _encode_bound,
    "permissions": _encode_permissions,
}


def decode_graph(data: Any) -> Graph:
    """Return the Graph that `encode_graph` wrote. Raises CodecError or GraphError."""
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise CodecError(f"its format is not {FORMAT}.")
    try:
        nodes = [_decode_node(node) for node in data["nodes"]]
        options = {
            name: data[name] for name in ("output", "timeout", "on_failure", "signals") if name in data
        }
        return make_graph(data["name"], nodes, **options)
    except (KeyError, TypeError, AttributeError) as error:
        raise CodecError(f"{type(error).__name__}: {error}.") from error
    except InvalidOption as error:
        raise CodecError(str(error)) from error


def _decode_node(data: Mapping[str, Any]) -> NodeSpec:
    options = {name: data[name] for name in _PLAIN if name in data}
    retry = RetryPolicy(**data["retry"]) if "retry" in data else None
    return NodeSpec(
        data["id"],
        data["body"],
        depends_on=tuple(data.get("depends_on", ())),
        join=_decode_join(data.get("join", "all_success")),
        params=MappingProxyType(dict(data.get("params", {}))),
        retry=retry,
        handles=_decode_handles(data["handles"]) if "handles" in data else None,
        cache=CachePolicy(**data["cache"]) if "cache" in data else None,
        repeat=Repeat(**data["repeat"]) if "repeat" in data else None,
        items=Items(**data["items"]) if "items" in data else None,
        bound=Bound(**data["bound"]) if "bound" in data else None,
        permissions=Permissions(**data["permissions"]) if "permissions" in data else None,
        **options,
    )


def _decode_join(data: Any) -> Join:
    return AtLeast(data["at_least"]) if isinstance(data, Mapping) else check_join(data)
