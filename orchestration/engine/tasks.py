"""@task: bodies known by name, so that a graph can be made at run time, from a file or by a program."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from .errors import InvalidOption

Body = Callable[..., Any]
F = TypeVar("F", bound=Body)
_tasks: dict[str, Body] = {}


def task(name: str) -> Callable[[F], F]:
    """Register the decorated body under `name`. Raises InvalidOption when another body has it."""
    if not isinstance(name, str):
        raise InvalidOption(option="task name", value=name, expected='a text: @task("name")')

    def register(body: F) -> F:
        known = _tasks.get(name)
        if known is not None and _place(known) != _place(body):
            expected = f"a name that no other task has (it belongs to {_place(known)})"
            raise InvalidOption(option="task name", value=name, expected=expected)
        _tasks[name] = body
        body.igon7_task = name  # type: ignore[attr-defined]
        return body

    return register


def find(name: str) -> Body | None:
    return _tasks.get(name)


def names() -> list[str]:
    return sorted(_tasks)


def is_async(name: str) -> bool:
    return inspect.iscoroutinefunction(_tasks.get(name))


def _place(body: Body) -> str:
    return f"{body.__module__}.{body.__qualname__}"
