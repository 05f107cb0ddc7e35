"""Workflow name -> Workflow with its callables; discovers `workflows.py`."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from django.apps import apps
from django.conf import settings

from .engine import tasks
from .engine.builder import Workflow
from .engine.errors import UnknownTask, UnknownWorkflow
from .engine.graph import Graph, NodeSpec, suggest

log = logging.getLogger(__name__)
_workflows: dict[str, Workflow] = {}
_broken: dict[str, str] = {}
_discovered = False


# --- discovery -------------------------------------------------------------------------------------


def discover(*, again: bool = False) -> None:
    """Import every app's `workflows.py` and what IGON7_WORKFLOWS names; a broken module is kept as a sentence."""
    global _discovered
    if _discovered and not again:
        return
    _discovered = True
    for app in apps.get_app_configs():
        path = Path(app.path) / "workflows.py"
        if path.is_file():
            _load(f"{app.name}.workflows", lambda name: importlib.import_module(name))
    for entry in getattr(settings, "IGON7_WORKFLOWS", ()):
        _discover_entry(entry)


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
        found = [value for value in vars(module).values() if isinstance(value, Workflow)]
        for workflow in found:
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

    Raises ValueError when another module has a workflow of that name.
    """
    known = _workflows.get(workflow.name)
    if known is not None and known is not workflow and known.module != workflow.module:
        raise ValueError(
            f'Workflow "{workflow.name}" is defined in {known.module} and in {workflow.module}. Rename one.'
        )
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


def _hint(name: str) -> str:
    if _broken:
        return "Some modules could not be imported: " + "; ".join(_broken.values())
    return suggest(name, _workflows)


# --- bodies ----------------------------------------------------------------------------------------


def body_of(graph: Graph, node: str) -> tuple[NodeSpec, Callable[..., Any]]:
    """Return the node's spec and its body. Raises UnknownTask when the installed code has none for it.

    A body is never imported by a path that comes from the database: it is what a discovered workflow or @task gives.
    """
    discover()
    spec = graph.nodes[node]
    kind, _, name = spec.body.partition(":")
    if kind == "task":
        found = tasks.find(name)
        if found is None:
            raise UnknownTask(node=node, workflow=graph.name, task=name, hint=suggest(name, tasks.names()))
        return spec, found
    workflow = _workflows.get(graph.name)
    if workflow is not None and node in workflow.bodies and workflow.graph.nodes[node].body == spec.body:
        return workflow.graph.nodes[node], workflow.bodies[node]
    raise UnknownTask(
        node=node, workflow=graph.name, task=spec.body, hint="The installed code does not have it."
    )


def check_bodies(workflow: Workflow) -> None:
    """Raise UnknownTask unless a worker will find a body for each node of a workflow that is given as a value."""
    known = get(workflow.name)
    for node, spec in workflow.graph.nodes.items():
        if spec.body.startswith("task:"):
            name = spec.body.removeprefix("task:")
            if tasks.find(name) is None:
                raise UnknownTask(
                    node=node, workflow=workflow.name, task=name, hint=suggest(name, tasks.names())
                )
        elif known is None or node not in known.bodies or known.graph.nodes[node].body != spec.body:
            hint = "A workflow made at run time uses registered tasks: decorate the function with @task and name it."
            raise UnknownTask(node=node, workflow=workflow.name, task=spec.body, hint=hint)
