"""Bodies that igon7 ships: nodes that wait. They are tasks by name, so that graphs kept as data may use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .durations import seconds
from .errors import GraphError, InvalidOption
from .signals import NAME_LIMIT, check_name
from .tasks import task

if TYPE_CHECKING:
    from .graph import NodeSpec

SIGNAL, SLEEP, APPROVAL = "igon7.wait_for_signal", "igon7.sleep", "igon7.approval"
# What bounds or repeats the running of a body says nothing of one that only waits; what it remembers holds on a retry.
_NOT_FOR_WAITS = ("retry", "timeout", "heartbeat_timeout", "cache")


@task(SIGNAL)
def wait_for_signal(ctx: Any) -> Any:
    """Return the payload of the next signal of a name."""
    return ctx.wait_for_signal(ctx.params["name"], timeout=ctx.params.get("timeout"))


@task(SLEEP)
def sleep(ctx: Any) -> None:
    """Wait for a while, without a worker."""
    ctx.sleep(ctx.params["duration"])


@task(APPROVAL)
def approval(ctx: Any) -> Any:
    """Ask people, and return who decided, when, and what they filled in."""
    return ctx.wait_for_approval(**{"name": ctx.node_id, **ctx.params})


def check(workflow: str, node: NodeSpec) -> None:
    """Raise GraphError or InvalidOption, naming the node, where a shipped body could not use what it is given."""
    name = node.body.removeprefix("task:")
    if name not in _PARAMS or name == node.body:
        return
    wrong = lambda text: GraphError(f'Node "{node.id}" of workflow "{workflow}" {text}')  # noqa: E731
    needed, known = _PARAMS[name]
    for option in _NOT_FOR_WAITS:
        if getattr(node, option) is not None:
            raise wrong(f"only waits, and has a `{option}`. Leave it out.")
    for missing in needed - node.params.keys():
        raise wrong(f'runs the task "{name}" without its parameter "{missing}".')
    for given in node.params.keys() - known.keys():
        raise wrong(f'gives the task "{name}" the parameter "{given}"; it knows {", ".join(sorted(known))}.')
    for given, value in node.params.items():
        known[given](f'{given} of node "{node.id}"', value)


def _duration(option: str, value: Any) -> None:
    seconds(value, option)


def _limit(option: str, value: Any) -> None:
    if value is not None:
        seconds(value, option)


def _signal(option: str, value: Any) -> None:
    check_name(value, option)


def _text(option: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > NAME_LIMIT or "\0" in value:
        raise InvalidOption(option=option, value=value, expected=f"a text of 1 to {NAME_LIMIT} characters")


def _question(option: str, value: Any) -> None:
    if not isinstance(value, str):
        raise InvalidOption(option=option, value=value, expected="a text")


def _names(option: str, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(name, str) and name.strip() for name in value):
        raise InvalidOption(option=option, value=value, expected="a list of names")


def _form(option: str, value: Any) -> None:
    if value is not None and not (isinstance(value, Mapping) and value.get("type", "object") == "object"):
        raise InvalidOption(option=option, value=value, expected="a JSON Schema of an object")


Check = Callable[[str, Any], None]
# Of each task: the parameters that it needs, and all that it knows.
_PARAMS: dict[str, tuple[frozenset[str], dict[str, Check]]] = {
    SIGNAL: (frozenset({"name"}), {"name": _signal, "timeout": _limit}),
    SLEEP: (frozenset({"duration"}), {"duration": _duration}),
    APPROVAL: (
        frozenset(),
        {"name": _text, "text": _question, "roles": _names, "users": _names, "form": _form, "due": _limit},
    ),
}
