"""WorkflowBuilder: how a workflow is written in Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self, Unpack

from .codec import checksum, encode_graph
from .doors import Doors, RepeatOptions
from .durations import Duration, seconds
from .errors import DuplicateNode, GraphError, InvalidOption
from .graph import DEFAULT_QUEUE, Graph, NodeSpec, make_graph
from .options import (
    cache_policy,
    handles,
    identifier,
    in_order,
    limit,
    node_names,
    permissions_of,
    plain,
    queue_name,
    retry_policy,
    schema,
    signal_schemas,
    truth,
)
from .permissions import Permissions
from .policies import (
    CachePolicy,
    ErrorType,
    Join,
    Repeat,
    RetryPolicy,
    check_iterations,
    check_join,
    check_on_exhausted,
    check_on_failure,
    check_priority,
)
from .shipped import CHILD
from .triggers import HANDLER, StartedBy, TriggerSpec, behind_handlers, check_event_name, check_filter
from .wide import Wide

Body = Callable[..., Any]
Shape = Mapping[str, Any] | type  # a JSON Schema, or a type that stands for one
UNDO = "undo:"  # what the id of a node's undo begins with


@dataclass(frozen=True)
class Workflow:
    """A built workflow: its graph as data, its callables beside it."""

    graph: Graph
    bodies: Mapping[str, Body]
    description: str = ""
    input_schema: Mapping[str, Any] | None = None
    tags: tuple[str, ...] = ()
    module: str = field(default="", compare=False)
    conditions: Mapping[str, Body] = field(default_factory=lambda: MappingProxyType({}))  # `when`, by node
    untils: Mapping[str, Body] = field(default_factory=lambda: MappingProxyType({}))  # of repeats, by node
    triggers: Mapping[str, TriggerSpec] = field(default_factory=lambda: MappingProxyType({}))  # by event
    lists: Mapping[str, Body] = field(default_factory=lambda: MappingProxyType({}))  # `over`, by map

    @property
    def name(self) -> str:
        return self.graph.name

    def definition(self) -> dict[str, Any]:
        """Return what a version is made of, as JSON data."""
        data = encode_graph(self.graph)
        if self.input_schema is not None:
            data["input_schema"] = dict(self.input_schema)
        if self.triggers:
            data["triggers"] = [trigger.as_data() for trigger in self.triggers.values()]
        return data

    def checksum(self) -> str:
        return self._checksum

    @cached_property
    def children(self) -> frozenset[str]:
        """The workflows that its nodes run, as far as the graph says so."""
        bringing = {id for id, body in self.bodies.items() if hasattr(body, "igon7_params")}
        nodes = self.graph.nodes.values()
        return frozenset(
            str(node.params["workflow"])
            for node in nodes
            if node.id in bringing or node.body == f"task:{CHILD}"
        )

    @cached_property
    def _checksum(self) -> str:
        # Asked at each start; a graph of 10,000 nodes is encoded once.
        return checksum(self.definition())


class WorkflowBuilder(Doors, Wide):
    """Collect nodes and options, then `build()` the Workflow. Nothing happens to any database."""

    def __init__(
        self,
        name: str,
        *,
        description: str = "",
        input_schema: Shape | None = None,
        signals: Mapping[str, Shape] | None = None,
        tags: Iterable[str] = (),
        timeout: Duration | None = None,
        output: str | None = None,
        on_failure: str = "finish",
    ) -> None:
        self._name = identifier("workflow name", name)
        self._description = inspect.cleandoc(description)
        self._schema = schema("input_schema", input_schema) if input_schema is not None else None
        self._signals = signal_schemas(signals)
        self._tags = tuple(
            identifier("tag", tag) for tag in ((tags,) if isinstance(tags, str) else in_order(tags))
        )
        self._timeout = seconds(timeout, "timeout") if timeout is not None else None
        self._output = output
        self._on_failure = check_on_failure(on_failure)
        self._nodes: dict[str, NodeSpec] = {}
        self._bodies: dict[str, Body] = {}
        self._conditions: dict[str, Body] = {}
        self._untils: dict[str, Body] = {}
        self._triggers: dict[str, TriggerSpec] = {}
        self._handlers: list[str] = []
        self._lists: dict[str, Body] = {}
        self._module = _calling_module()

    def add_node(  # type: ignore[override]  # it names the options
        self,
        id: str,
        body: Body | str,
        *,
        depends_on: Iterable[str] = (),
        join: Join = "all_success",
        params: Mapping[str, Any] | None = None,
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        queue: str = DEFAULT_QUEUE,
        priority: int | None = None,
        when: Body | None = None,
        fallback: str | None = None,
        on_error: bool = False,
        for_nodes: Iterable[str] | None = None,
        error_types: Iterable[ErrorType] = (),
        on_exhausted: str = "fail",
        compensate: Body | str | None = None,
        compensate_retry: RetryPolicy | None = None,
        compensate_timeout: Duration | None = None,
        queue_timeout: Duration | None = None,
        deadline: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
        cache: CachePolicy | None = None,
        transactional: bool = False,
        permissions: Permissions | None = None,
    ) -> Self:
        """Add a node; `body` takes ctx, or is the name of a registered @task.

        Durations are seconds or texts such as "5m". `when` takes ctx; where it says no, the node is skipped. `fallback`
        names the node that runs when this one has failed for good. With `on_error` the node is an error boundary: it
        runs when one of `for_nodes` (default: any) fails with one of `error_types` (default: any). With
        `on_exhausted="pause"`, a person decides about a failure that nobody has rescued. `compensate` undoes what the
        body did, should the execution fail later; it becomes the node "undo:<id>". `timeout` is one attempt's,
        `queue_timeout` from ready to started, `deadline` that of all attempts, `heartbeat_timeout` between two words
        of the body. With a `cache`, an equal execution takes over the result. A `transactional` body's own writes
        commit with its end, exactly once. `permissions` say for whom the node runs. Raises GraphError or InvalidOption,
        naming node and option.
        """
        identifier("node id", id)
        if id in self._nodes:
            raise DuplicateNode(workflow=self._name, node=id)
        self._nodes[id] = NodeSpec(
            id=id,
            body=self._reference(id, body),
            lane="async" if is_async(body) else "sync",
            depends_on=node_names(id, depends_on),
            join=check_join(join),
            params=MappingProxyType(plain(f'params of node "{id}"', _params(body, params))),
            retry=retry_policy(id, retry),
            timeout=limit(id, "timeout", timeout),
            queue=queue_name(id, queue),
            priority=check_priority(priority) if priority is not None else None,
            fallback=identifier(f'fallback of node "{id}"', fallback) if fallback is not None else None,
            handles=handles(id, on_error, for_nodes, error_types),
            on_exhausted=check_on_exhausted(on_exhausted),
            when=self._condition(id, body, when),
            compensate=f"{UNDO}{id}" if compensate is not None else None,
            queue_timeout=limit(id, "queue_timeout", queue_timeout),
            deadline=limit(id, "deadline", deadline),
            heartbeat_timeout=limit(id, "heartbeat_timeout", heartbeat_timeout),
            cache=cache_policy(id, cache),
            transactional=truth(f'transactional of node "{id}"', transactional),
            permissions=permissions_of(id, permissions),
        )
        if compensate is not None:
            about: dict[str, Any] = {"queue": queue, "priority": priority, "params": params}
            about |= {"retry": compensate_retry, "timeout": compensate_timeout}
            return self.add_node(f"{UNDO}{id}", compensate, **about)
        if compensate_retry is not None or compensate_timeout is not None:
            raise GraphError(f'Node "{id}" says how its undo is to run and has none. Add compensate=….')
        return self

    def repeat(
        self,
        id: str,
        body: Body | str,
        *,
        until: Body | str,
        max_iterations: int,
        delay: Duration = 0,
        **options: Unpack[RepeatOptions],
    ) -> Self:
        """Add a node whose body runs until `until(ctx, result)` says that it is done; the last result stands.

        What each run gave is kept, and the `delay` between two needs no worker. `ctx.iteration` counts from 1,
        `ctx.previous` is what the run before gave. After `max_iterations` runs the node fails: RepeatExhausted. `until`
        may be the name of a registered @task. The other options are those of `add_node`. Raises GraphError or
        InvalidOption, naming node and option.
        """
        where = self._until(id, body, until)
        check_iterations(max_iterations, f'max_iterations of node "{id}"')
        policy = Repeat(where, max_iterations, seconds(delay, f'delay of node "{id}"'))
        self.add_node(id, body, **options)
        self._nodes[id] = replace(self._nodes[id], repeat=policy)
        return self

    def on_event(
        self, name: str, handler: Body | str | None = None, *, filter: Body | str | None = None
    ) -> Self:
        """Let each event of this name start an execution, whose input is the event's data.

        `filter` says which ones: a condition over the data, such as 'amount > 100 and country in ["FR", "DE"]', or a
        function of the event. `handler` becomes the node "on:<name>", which takes ctx; every node without dependencies
        runs after it. It is skipped where something else has started the execution. Raises GraphError,
        InvalidCondition, InvalidOption.
        """
        check_event_name(name)
        if name in self._triggers:
            raise GraphError(f'Workflow "{self._name}" is started by the event "{name}" twice. Say it once.')
        given = check_filter(name, filter)
        if given is None or isinstance(given, str):
            self._triggers[name] = TriggerSpec(name, given or "")
        else:
            if is_async(given):
                expected = "a function that is not async"
                raise InvalidOption(option=f'filter of the event "{name}"', value=given, expected=expected)
            self._triggers[name] = TriggerSpec(name, "", given, _where(given))
        if handler is not None:
            self.add_node(f"{HANDLER}{name}", handler, when=StartedBy(name))
            self._handlers.append(f"{HANDLER}{name}")
        return self

    def build(self) -> Workflow:
        """Check the whole graph and return the Workflow. Raises GraphError, naming the nodes."""
        graph = make_graph(
            self._name,
            behind_handlers(self._nodes, tuple(self._handlers)).values(),
            output=self._output,
            timeout=self._timeout,
            on_failure=self._on_failure,
            signals=self._signals,
        )
        return Workflow(
            graph,
            MappingProxyType(dict(self._bodies)),
            self._description,
            self._schema,
            self._tags,
            self._module,
            MappingProxyType(dict(self._conditions)),
            MappingProxyType(dict(self._untils)),
            MappingProxyType(dict(self._triggers)),
            MappingProxyType(dict(self._lists)),
        )

    def _reference(self, id: str, body: Body | str) -> str:
        if isinstance(body, str):
            return f"task:{identifier('task name', body)}"
        if not callable(body):
            raise GraphError(
                f'The body of node "{id}" is {body!r}; it must be a function or the name of a @task.'
            )
        self._bodies[id] = body
        if task_name := getattr(body, "igon7_task", None):
            return f"task:{task_name}"
        return _where(body)

    def _until(self, id: str, body: Body | str, until: Any) -> str:
        if isinstance(until, str):
            option = f'until of node "{id}"'
            return f"task:{identifier(option, until)}"
        if not callable(until) or (is_async(until) and not is_async(body)):
            expected = (
                "a function that takes ctx and the result, or a task's name (async only for an async body)"
            )
            raise InvalidOption(option=f'until of node "{id}"', value=until, expected=expected)
        self._untils[id] = until
        return _where(until)

    def _condition(self, id: str, body: Body | str, when: Any) -> str | None:
        if when is None:
            return None
        if not callable(when) or (is_async(when) and not is_async(body)):
            expected = "a function that takes ctx (async only for an async body)"
            raise InvalidOption(option=f'when of node "{id}"', value=when, expected=expected)
        self._conditions[id] = when
        return _where(when)

    def _finding(self, id: str, body: Body | str, over: Body) -> str:
        if is_async(over) and not is_async(body):
            expected = "a function that takes ctx (async only for an async body)"
            raise InvalidOption(option=f'over of map "{id}"', value=over, expected=expected)
        self._lists[id] = over
        return _where(over)


def _params(body: Any, params: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the node's params, with those that its body brings along."""
    own: Mapping[str, Any] = getattr(body, "igon7_params", {})
    return {**own, **params} if own and params else params or own


class Declined(Exception):
    """Raised instead of running a body whose condition said no."""


def conditional(when: Body, body: Body) -> Body:
    """Return a body that asks `when` first, and raises Declined where it says no."""
    if not is_async(body):

        def checked(ctx: Any) -> Any:
            if not ctx.has_waited and not when(ctx):
                raise Declined
            return body(ctx)

        return checked

    async def checked_async(ctx: Any) -> Any:
        said = ctx.has_waited or when(ctx)
        if not (await said if inspect.isawaitable(said) else said):
            raise Declined
        return await body(ctx)

    return checked_async


def repeated(policy: Repeat, until: Body, body: Body) -> Body:
    """Return a body that runs another until it is done."""
    if not is_async(body):
        return lambda ctx: ctx.run_until(policy, until, body)

    async def run(ctx: Any) -> Any:
        return await ctx.run_until(policy, until, body)

    return run


def _where(body: Body) -> str:
    """Return "module:qualname" of a callable."""
    named = inspect.unwrap(getattr(body, "func", body))
    where = getattr(named, "__module__", type(named).__module__)
    return f"{where}:{getattr(named, '__qualname__', type(named).__qualname__)}"


def is_async(body: Body | str) -> bool:
    """Say whether the body runs on the event loop; a task named by a text is asked from the registry at start."""
    if isinstance(body, str):
        from . import tasks

        return tasks.is_async(body)
    plain = getattr(body, "func", body)
    return inspect.iscoroutinefunction(plain) or inspect.iscoroutinefunction(getattr(plain, "__call__", None))  # noqa: B004


def _calling_module() -> str:
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "")) if frame is not None else ""
