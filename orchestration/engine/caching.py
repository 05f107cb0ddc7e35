"""What makes two results of a cached node the same one: the key, made of all that its body may go by."""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any

from .codec import canonical

PREFIX = "igon7:result:"
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))


def key_of(parts: Mapping[str, Any]) -> str:
    """Return the key of these parts. Raises TypeError or ValueError for what is no JSON."""
    return PREFIX + hashlib.sha256(canonical(parts).encode()).hexdigest()


def code_version(body: Callable[..., Any]) -> str:
    """Return a digest of the body's own code: what it computes changes it, where it stands in its file does not.

    That is bytecode, constants, names, default values and what it closes over, with the functions in these. Functions
    that it calls by name are not its own. What has no Python code counts by "module:qualname".
    """
    return hashlib.sha256(canonical(_shape(body, set())).encode()).hexdigest()


def _shape(value: Any, seen: set[int]) -> Any:
    """Return plain data that is equal in every process for equal code."""
    if isinstance(value, _PLAIN):
        return [type(value).__name__, repr(value)]
    if isinstance(value, types.CodeType):
        about = [value.co_code.hex(), value.co_flags, value.co_argcount, value.co_kwonlyargcount]
        return [*about, list(value.co_names), list(value.co_varnames), *_all(value.co_consts, seen)]
    if isinstance(value, (tuple, list)):
        return _all(value, seen)
    if isinstance(value, (set, frozenset)):
        return sorted(canonical(each) for each in _all(value, seen))
    if isinstance(value, Mapping):
        return [_all(pair, seen) for pair in value.items()]
    if id(value) in seen or not callable(value):
        return _name_of(value)
    return _of_callable(value, seen | {id(value)})


def _all(values: Any, seen: set[int]) -> list[Any]:
    return [_shape(value, seen) for value in values]


def _of_callable(value: Any, seen: set[int]) -> Any:
    if isinstance(value, functools.partial):
        return _all([value.func, value.args, value.keywords], seen)
    if inspect.ismethod(value):
        return _all([value.__func__, value.__self__], seen)
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        return _all([value.__code__, value.__defaults__, value.__kwdefaults__, cells], seen)
    called = getattr(type(value), "__call__", None)  # noqa: B004
    if not isinstance(value, type) and isinstance(called, types.FunctionType):
        return [_name_of(value), *_all([called, getattr(value, "__dict__", None)], seen)]
    return _name_of(value)


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # its name has no value yet
        return False


def _name_of(value: Any) -> str:
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}:{named.__qualname__}"
