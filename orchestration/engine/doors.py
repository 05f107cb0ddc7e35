"""WorkflowBuilder's nodes that wait."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, TypedDict, Unpack

from .durations import Duration, seconds
from .errors import GraphError, InvalidOption
from .permissions import Permissions
from .policies import ErrorType, Join, RetryPolicy
from .shipped import APPROVAL, SIGNAL, SLEEP, Named, check_closing, child_body


class WaitOptions(TypedDict, total=False):
    """What nodes that wait have in common with all others; see `add_node`."""

    depends_on: Iterable[str]
    join: Join
    when: Callable[..., Any] | None
    queue: str
    priority: int | None
    fallback: str | None
    on_error: bool
    for_nodes: Iterable[str] | None
    error_types: Iterable[ErrorType]
    on_exhausted: str
    compensate: Callable[..., Any] | str | None
    queue_timeout: Duration | None
    deadline: Duration | None
    permissions: Permissions | None


class ChildOptions(WaitOptions, total=False):
    """What nodes that run another workflow have in common with all others."""

    retry: RetryPolicy | None


class RepeatOptions(ChildOptions, total=False):
    """What nodes that are repeated have in common with all others."""

    params: Mapping[str, Any] | None
    timeout: Duration | None
    heartbeat_timeout: Duration | None
    compensate_retry: RetryPolicy | None
    compensate_timeout: Duration | None


class Doors:
    """The part of WorkflowBuilder that adds nodes which wait."""

    def add_node(self, id: str, body: Any, **options: Any) -> Self:
        raise NotImplementedError

    def wait_for_signal(
        self, id: str, name: str, *, timeout: Duration | None = None, **options: Unpack[WaitOptions]
    ) -> Self:
        """Add a node that waits for a signal, and gives its payload; without one in time it fails: SignalTimeout.

        The other options are those of `add_node`. Raises GraphError or InvalidOption, naming node and option.
        """
        limit = {"timeout": _seconds(id, "timeout", timeout)} if timeout is not None else {}
        return self._add(id, SIGNAL, {"name": name, **limit}, options)

    def sleep(self, id: str, duration: Duration, **options: Unpack[WaitOptions]) -> Self:
        """Add a node that waits for so long, without a worker. The other options are those of `add_node`."""
        return self._add(id, SLEEP, {"duration": _seconds(id, "duration", duration)}, options)

    def approval(
        self,
        id: str,
        *,
        roles: Iterable[str] = (),
        users: Iterable[str] = (),
        text: str = "",
        form: Mapping[str, Any] | None = None,
        due: Duration | None = None,
        **options: Unpack[WaitOptions],
    ) -> Self:
        """Add a node that asks people of these roles, or these users; where none are named, whoever may control it.

        Its result is {"by", "at", "comment", "form"}, the form filled in by who approved, as its JSON Schema says.
        Who started the execution may not decide. A no fails the node (ApprovalRejected), and so does nobody's word
        when the time is `due` (ApprovalTimeout). The other options are those of `add_node`.
        """
        asked: dict[str, Any] = {"roles": _listed(roles), "users": _listed(users), "text": text, "form": form}
        given = {name: value for name, value in asked.items() if value not in ([], "", None)}
        if due is not None:
            given["due"] = _seconds(id, "due", due)
        return self._add(id, APPROVAL, given, options)

    def child(
        self,
        id: str,
        workflow: str | Named,
        *,
        input: Any = None,
        on_parent_close: str = "cancel",
        **options: Unpack[ChildOptions],
    ) -> Self:
        """Add a node that runs another workflow, and gives its output; where that fails, so does the node: ChildFailed.

        `input` is a constant, or a function that takes ctx. `on_parent_close` ("cancel", "terminate", "abandon") says
        what becomes of the child should this execution end first. With a `retry`, a child that failed is started
        anew. The other options are those of `add_node`. Raises GraphError or InvalidOption, naming node and option.
        """
        if inspect.iscoroutinefunction(input):
            raise InvalidOption(option=f'input of node "{id}"', value=input, expected="not an async function")
        check_closing(f'on_parent_close of node "{id}"', on_parent_close)
        body = child_body(workflow, input, on_parent_close=on_parent_close)
        return self._add(id, body, {}, options, ChildOptions)

    def _add(
        self,
        id: str,
        body: Any,
        params: Mapping[str, Any],
        options: Mapping[str, Any],
        known: type = WaitOptions,
    ) -> Self:
        for option in options:
            if option not in known.__annotations__:
                raise GraphError(f'Node "{id}" only waits; it takes no option `{option}`.')
        return self.add_node(id, body, params=params, **options)


def _seconds(id: str, option: str, value: Duration) -> float:
    return seconds(value, f'{option} of node "{id}"')


def _listed(names: Any) -> Any:
    """Return names as JSON keeps them; what is none is left to the check of the graph, which names the node."""
    if isinstance(names, str):
        return [names]
    if not isinstance(names, Iterable):
        return names
    return sorted(names) if isinstance(names, set | frozenset) else list(names)
