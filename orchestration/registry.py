"""Workflow name -> Workflow with its callables; discovers `workflows.py`."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from django.apps import apps
from django.conf import settings

from . import cache_stores, inputs, transactions
from .engine import tasks
from .engine.builder import Workflow, conditional, repeated
from .engine.errors import GraphError, UnknownTask, UnknownWorkflow
from .engine.graph import Graph, NodeSpec, check_transactional, suggest

log = logging.getLogger(__name__)
_workflows: dict[str, Workflow] = {}
_broken: dict[str, str] = {}
_discovered = _under_way = False
_discovering = threading.RLock()  # who asks meanwhile waits for all of them: a web server is asked at once


# --- discovery -------------------------------------------------------------------------------------


def discover(*, again: bool = False) -> None:
    """Import every app's `workflows.py` and what IGON7_WORKFLOWS names; a broken module is kept as a sentence."""
    global _discovered, _under_way
    if _discovered and not again:
        return
    with _discovering:
        if _under_way or (
            _discovered and not again
        ):  # a module that is being imported asks, or another was quicker
            return
        _under_way = True
        try:
            _discover_all()
        finally:
            _under_way = False
        _discovered = True


def _discover_all() -> None:
    for app in apps.get_app_configs():
        path = Path(app.path) / "workflows.py"
        if path.is_file():
            _load(f"{app.name}.workflows", lambda name: importlib.import_module(name))
    for entry in getattr(settings, "IGON7_WORKFLOWS", ()):
        _discover_entry(entry)
    for name, workflow in [*_workflows.items()]:
        try:
            _workflows[name] = _in_their_lanes(workflow)
        except GraphError as error:
            _broken[workflow.module or name] = str(error)
            del _workflows[name]


def _discover_entry(entry: str) -> None:
    folder = Path(entry)
    if not folder.is_dir():
        _load(entry, lambda name: importlib.import_module(name))
        return
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith("_"):
            _load(str(path), _import_file)


def _import_file(path: str) -> ModuleType:
    name = "igon7_workflows_" + Path(path).stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _load(name: str, load: Callable[[str], ModuleType]) -> None:
    try:
        module = load(name)
        mine: dict[str, Workflow] = {}
        for workflow in (value for value in vars(module).values() if isinstance(value, Workflow)):
            if mine.setdefault(workflow.name, workflow) is not workflow:
                raise ValueError(f'Workflow "{workflow.name}" is defined twice here. Rename one.')
        for workflow in mine.values():
            register(workflow)
        _broken.pop(name, None)
    except (Exception, SystemExit) as error:
        _broken[name] = _sentence(error)
        log.error("The workflows of %s are not available: %s", name, _broken[name])


def _sentence(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    # The author's line, not ours: the last frame outside the engine that raised.
    own = [f for f in frames if "/orchestration/" not in f.filename] or frames
    place = f"{own[-1].filename}:{own[-1].lineno}: " if own else ""
    return f"{place}{type(error).__name__}: {error}"


def register(workflow: Workflow) -> None:
    """Make the workflow known by its name; the later of two wins only if it is the same module's.

    Raises ValueError when another module has a workflow of that name, and GraphError for a store that
    cannot be used and for a schema that is none.
    """
    known = _workflows.get(workflow.name)
    if known is not None and known is not workflow and known.module != workflow.module:
        raise ValueError(
            f'Workflow "{workflow.name}" is defined in {known.module} and in {workflow.module}. Rename one.'
        )
    cache_stores.check(workflow.graph)
    transactions.check(workflow.graph)
    inputs.check_schemas(workflow)
    _workflows[workflow.name] = workflow


def forget(name: str) -> None:
    """Take a workflow out of the registry (its rows stay)."""
    _workflows.pop(name, None)


def get(name: str) -> Workflow | None:
    discover()
    return _workflows.get(name)


def all() -> dict[str, Workflow]:
    """Return every workflow the code defines, by name."""
    discover()
    return dict(sorted(_workflows.items()))


def broken() -> dict[str, str]:
    """Return the modules that could not be imported, each with a sentence that says where."""
    discover()
    return dict(_broken)


def require(name: str) -> Workflow:
    """Return the workflow, or raise UnknownWorkflow with a hint."""
    found = get(name)
    if found is None:
        raise UnknownWorkflow(name=name, hint=_hint(name))
    return found


def check_children(workflow: Workflow) -> None:
    """Raise UnknownWorkflow, naming the node, unless the workflows that its nodes run are there."""
    for name in workflow.children:
        if get(name) is None:
            nodes = [node.id for node in workflow.graph.nodes.values() if node.params.get("workflow") == name]
            raise UnknownWorkflow(
                name=name, hint=f'Node "{nodes[0]}" of "{workflow.name}" runs it. {_hint(name)}'
            )


def _hint(name: str) -> str:
    if _broken:
        return "Some modules could not be imported: " + "; ".join(_broken.values())
    return suggest(name, _workflows)


# --- bodies ----------------------------------------------------------------------------------------


Wrap = Callable[[Graph, NodeSpec, Callable[..., Any]], Callable[..., Any]]


def body_of(
    graph: Graph,
    node: str,
    cached: Wrap | None = None,
    instead: Callable[..., Any] | None = None,
    finding: Wrap | None = None,
) -> tuple[NodeSpec, Callable[..., Any]]:
    """Return the node's spec and its body. Raises UnknownTask when the installed code has none for it.

    A body is never imported by a path that comes from the database: it is what a discovered workflow or @task gives.
    The spec is the execution's version's; only the callables that data cannot carry, `on_retry` and `key_fn`, are
    today's. `cached` wraps the body of a node with a cache, inside of its condition; `instead` stands in for the body.
    A map's body is that of its items, which have no condition, unless with `finding`: it then makes the body that finds
    them.
    """
    discover()
    spec = graph.nodes[node]
    known = _known(graph.name, spec)
    body = instead or _find_body(graph.name, spec, known)
    on_retry = known.retry.on_retry if known is not None and known.retry is not None else None
    if on_retry is not None and spec.retry is not None:
        spec = replace(spec, retry=replace(spec.retry, on_retry=on_retry))
    if spec.items is not None and finding is not None:
        body = finding(graph, spec, _list_of(graph.name, spec, known))
    elif spec.cache is not None:
        key_fn = known.cache.key_fn if known is not None and known.cache is not None else None
        spec = replace(spec, cache=replace(spec.cache, key_fn=key_fn))
        body = cached(graph, spec, body) if cached is not None else body
    if spec.repeat is not None:
        body = repeated(spec.repeat, _until_of(graph.name, spec, known), body)
    if spec.when is not None and (spec.items is None or finding is not None):
        body = conditional(_condition_of(graph.name, spec, known), body)
    return spec, body


def _list_of(workflow: str, spec: NodeSpec, known: NodeSpec | None) -> Callable[..., Any]:
    """Return what finds the items of a map."""
    assert spec.items is not None
    over = spec.items.over
    if over is not None:
        return lambda ctx: ctx.results[over]
    if known is None or known.items is None or known.items.call != spec.items.call:
        hint = "The installed code does not have what it goes over."
        raise UnknownTask(node=spec.id, workflow=workflow, task=spec.items.call, hint=hint)
    return _workflows[workflow].lists[spec.id]


def _condition_of(workflow: str, spec: NodeSpec, known: NodeSpec | None) -> Callable[..., Any]:
    if known is None or known.when != spec.when or spec.id not in _workflows[workflow].conditions:
        hint = "The installed code does not have this condition."
        raise UnknownTask(node=spec.id, workflow=workflow, task=spec.when, hint=hint)
    return _workflows[workflow].conditions[spec.id]


def _until_of(workflow: str, spec: NodeSpec, known: NodeSpec | None) -> Callable[..., Any]:
    """Return what says that a repeated body is done. Raises UnknownTask."""
    assert spec.repeat is not None
    kind, _, name = spec.repeat.until.partition(":")
    if kind == "task":
        return _task(workflow, spec, name)
    if known is None or known.repeat is None or known.repeat.until != spec.repeat.until:
        hint = "The installed code does not have what says that it is done."
        raise UnknownTask(node=spec.id, workflow=workflow, task=spec.repeat.until, hint=hint)
    return _workflows[workflow].untils[spec.id]


def _task(workflow: str, spec: NodeSpec, name: str) -> Callable[..., Any]:
    found = tasks.find(name)
    if found is None:
        raise UnknownTask(node=spec.id, workflow=workflow, task=name, hint=suggest(name, tasks.names()))
    return found


def _known(workflow: str, spec: NodeSpec) -> NodeSpec | None:
    """Return the node as today's code defines it, if it still has this body."""
    found = _workflows.get(workflow)
    known = found.graph.nodes.get(spec.id) if found is not None else None
    return known if known is not None and known.body == spec.body else None


def _find_body(workflow: str, spec: NodeSpec, known: NodeSpec | None) -> Callable[..., Any]:
    kind, _, name = spec.body.partition(":")
    if kind == "task":
        return _task(workflow, spec, name)
    if known is None:
        hint = "The installed code does not have it."
        raise UnknownTask(node=spec.id, workflow=workflow, task=spec.body, hint=hint)
    return _workflows[workflow].bodies[spec.id]


def check_value(workflow: Workflow) -> Workflow:
    """Return a workflow that was given as a value, its tasks in their lanes.

    Raises UnknownTask unless a worker will find a body for each node, and GraphError for a function that no
    module defines, for a cache store that cannot be used and for a schema that is none.
    """
    discover()
    for spec in workflow.graph.nodes.values():
        known = _known(workflow.name, spec)
        if known is None and not spec.body.startswith("task:"):
            hint = "A workflow made at run time uses registered tasks: decorate the function with @task and name it."
            raise UnknownTask(node=spec.id, workflow=workflow.name, task=spec.body, hint=hint)
        _find_body(workflow.name, spec, known)
        if known is None and spec.when is not None:
            raise GraphError(
                f'Node "{spec.id}" of workflow "{workflow.name}" has a `when`; a workflow made at run time is kept as'
                " data and cannot carry a function. Define it in a module."
            )
        if spec.repeat is not None and spec.repeat.until.startswith("task:"):
            _until_of(workflow.name, spec, known)
        elif known is None and spec.repeat is not None:
            raise GraphError(
                f'Node "{spec.id}" of workflow "{workflow.name}" is repeated until a function says so; a workflow made'
                " at run time is kept as data and cannot carry one. Name a registered @task as its `until`."
            )
        if known is None and spec.items is not None and spec.items.call is not None:
            raise GraphError(
                f'Map "{spec.id}" of workflow "{workflow.name}" goes over what a function finds; a workflow made at run'
                " time is kept as data and cannot carry one. Define it in a module, or go over a node's result."
            )
        if known is None and spec.cache is not None and spec.cache.key_fn is not None:
            raise GraphError(
                f'Node "{spec.id}" of workflow "{workflow.name}" has a key_fn; a workflow made at run time is kept as'
                " data and cannot carry a function. Define it in a module, or let the key be what it is by default."
            )
        if known is None and spec.retry is not None and spec.retry.on_retry is not None:
            raise GraphError(
                f'Node "{spec.id}" of workflow "{workflow.name}" has an on_retry; a workflow made at run time is kept '
                "as data and cannot carry a function. Define it in a module, or use retry_on and do_not_retry."
            )
    cache_stores.check(workflow.graph)
    transactions.check(workflow.graph)
    inputs.check_schemas(workflow)
    return _in_their_lanes(workflow)


def _in_their_lanes(workflow: Workflow) -> Workflow:
    """Return the workflow with each named task in the lane its body asks for. Raises GraphError.

    A task may be registered after the workflow that names it was built, so only now is it known which are async.
    """
    wrong = {
        spec.id: replace(spec, lane=lane)
        for spec in workflow.graph.nodes.values()
        if spec.body.startswith("task:")
        and tasks.find(name := spec.body.removeprefix("task:")) is not None
        and (lane := "async" if tasks.is_async(name) else "sync") != spec.lane
    }
    if not wrong:
        return workflow
    graph = replace(workflow.graph, nodes=MappingProxyType({**workflow.graph.nodes, **wrong}))
    check_transactional(graph)
    return replace(workflow, graph=graph)
