"""Bodies that igon7 ships: nodes that wait. They are tasks by name, so that graphs kept as data may use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol

from .durations import seconds
from .errors import GraphError, InvalidOption
from .signals import NAME_LIMIT, check_name
from .tasks import task

if TYPE_CHECKING:
    from .graph import NodeSpec


class Named(Protocol):
    """A built workflow, as far as it matters here."""

    @property
    def name(self) -> str:
        """What it is called."""


SIGNAL, SLEEP, APPROVAL, CHILD = "igon7.wait_for_signal", "igon7.sleep", "igon7.approval", "igon7.child"
CLOSINGS = ("cancel", "terminate", "abandon")  # what becomes of a child whose parent has ended
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


@task(CHILD)
def child(ctx: Any) -> Any:
    """Run another workflow, and return its output; its input is what the parameter says, or what the node is given."""
    given = ctx.params["input"] if "input" in ctx.params else getattr(ctx, "item", None)
    return _run(ctx, given)


def child_body(
    workflow: str | Named, input: Any = None, *, on_parent_close: str = "cancel"
) -> Callable[[Any], Any]:
    """Return a body that runs another workflow, and gives its output.

    `input` is a constant, or a function of ctx; without one, an item of a map is the input of its child. Raises
    InvalidOption.
    """
    name = workflow if isinstance(workflow, str) else getattr(workflow, "name", workflow)
    _text("the child's workflow", name)
    params: dict[str, Any] = {"workflow": name}
    if on_parent_close != "cancel":
        params["on_parent_close"] = on_parent_close
    if callable(input):

        @wraps(input)
        def given(ctx: Any) -> Any:
            return _run(ctx, input(ctx))

        body: Callable[[Any], Any] = given
    else:

        @wraps(child)
        def constant(ctx: Any) -> Any:
            return child(ctx)

        body = constant
        params |= {"input": input} if input is not None else {}
    body.igon7_params = params  # type: ignore[attr-defined]
    return body


def _run(ctx: Any, input: Any) -> Any:
    closing = ctx.params.get("on_parent_close", "cancel")
    return ctx.run_child(ctx.params["workflow"], input, on_parent_close=closing)


def check(workflow: str, node: NodeSpec) -> None:
    """Raise GraphError or InvalidOption, naming the node, where a shipped body could not use what it is given."""
    name = node.body.removeprefix("task:")
    if name not in _PARAMS or name == node.body:
        return
    wrong = lambda text: GraphError(f'Node "{node.id}" of workflow "{workflow}" {text}')  # noqa: E731
    needed, known = _PARAMS[name]
    for option in _NOT_FOR_WAITS:
        if getattr(node, option) is not None and not (name == CHILD and option == "retry"):
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


def check_closing(option: str, value: Any) -> None:
    """Raise InvalidOption unless it says what becomes of a child whose parent has ended."""
    if value not in CLOSINGS:
        raise InvalidOption(option=option, value=value, expected="one of " + ", ".join(CLOSINGS))


def _anything(option: str, value: Any) -> None:
    pass


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
    CHILD: (
        frozenset({"workflow"}),
        {"workflow": _text, "input": _anything, "on_parent_close": check_closing},
    ),
}
