"""`crash_everywhere`: whatever moment a worker dies at, the workflow must end as if nothing had been."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.auth.models import AbstractUser
from django.db import connection

from orchestration import executor
from orchestration.engine.builder import Workflow
from orchestration.engine.errors import InvalidOption
from orchestration.engine.state import EXECUTION
from security.principals import Principal

from .commits import Commits, Crash
from .playing import LIMIT, NodeName, Play, Result, Signal
from .result import Node
from .worker import Body

T = TypeVar("T")
SHOWN = 200  # characters of an output in what is said of it
_ADVICE = (
    "A body runs at least once: when its worker dies before its result is kept, it runs again. Give what it changes"
    " elsewhere ctx.idempotency_key to be recognised by, and put what is done once into a ctx.step."
)


@dataclass(frozen=True)
class Crashes:
    """What was tried: `commits` says what each commit of the undisturbed run wrote, `result` how that ended."""

    crashes: int
    commits: list[str]
    result: Result


def crash_everywhere(
    workflow: Workflow | str,
    *,
    input: Any = None,
    signals: Iterable[Signal] = (),
    principal: Principal | AbstractUser | None = None,
    bodies: Mapping[NodeName, Body] | None = None,
    workflows: Iterable[Workflow] = (),
    before: Callable[[], object] = lambda: None,
    compare: Callable[[Result], object] | None = None,
    most: int | None = None,
    limit: int = LIMIT,
) -> Crashes:
    """Run the workflow undisturbed, then with a crash before and one after each of its commits; return what was tried.

    A crash is an end as by kill -9: what is not committed is gone, what was claimed stays leased. The clock then jumps
    past the lease, and another worker goes on. Each run must come to the same end: its status, its output, and the
    nodes' statuses and outputs (artifacts by their content), and what it has stored; or what `compare` makes of its
    result. `before` is called before each run, to put back what bodies change. `most` bounds the crashes, of which it
    then takes some from all over the run. Raises AssertionError where an end differs, RuntimeError inside a
    transaction, and what `run` raises.
    """
    if connection.in_atomic_block:
        raise RuntimeError(
            "crash_everywhere needs transactions of its own: use a TransactionTestCase, or with pytest-django"
            " @pytest.mark.django_db(transaction=True)."
        )
    given, workflows = list(signals), list(workflows)
    if any((each if isinstance(each, str) else each[0]) in executor.RESERVED for each in given):
        raise InvalidOption(
            option="signals", value=given, expected="none of the verbs, which act at once and once"
        )

    def once(commits: Commits) -> Result:
        before()
        play = Play(workflow, principal, bodies, None, limit, workflows)
        return _through(play, commits, input, given)

    first = Play(workflow, principal, bodies, None, limit, workflows)
    first.prepare()
    undisturbed = Commits()
    result = once(undisturbed)
    crashes = 0
    for where, commits in _spread(list(_everywhere(undisturbed.seen)), most):
        found = once(commits)
        crashes += commits.crashed
        if difference := _difference(result, found, compare):
            raise AssertionError(f"{where}: {difference}\n{_ADVICE}\nThat run:\n{found}")
    return Crashes(crashes, undisturbed.seen, result)


def _everywhere(seen: Sequence[str]) -> Iterator[tuple[str, Commits]]:
    for number, written in enumerate(seen, 1):
        for side in ("before", "after"):
            where = f"With a crash {side} commit {number} of {len(seen)} ({written})"
            yield where, Commits(number, before=side == "before")


def _spread(places: list[T], most: int | None) -> list[T]:
    """Return `most` of the places, as far from each other as can be."""
    if most is None or most >= len(places):
        return places
    return [places[number * len(places) // most] for number in range(most)]


def _through(play: Play, commits: Commits, input: Any, signals: Sequence[Signal]) -> Result:
    """Run to the end, going on with another worker when one has died."""
    key, ids = str(uuid.uuid4()), [f"kit-{number}" for number in range(len(signals))]
    ready = False
    with play.on_stage():
        while True:
            try:
                with commits.watched():
                    if not ready:
                        # Who does not hear that it was started, or sent, asks again: with the same key and ids.
                        play.begin(input, idempotency_key=key)
                        play.send(signals, iter(ids))
                        ready = True
                    play.go()
                return play.result()
            except Crash:
                commits.dead = False
                play.forget()


# --- comparing -------------------------------------------------------------------------------------


def _difference(right: Result, found: Result, compare: Callable[[Result], object] | None) -> str:
    """Return in words how two ends differ; nothing where they do not."""
    if compare is not None:
        wanted, got = compare(right), compare(found)
        return "" if wanted == got else f"it comes to {_short(got)} instead of {_short(wanted)}."
    said = [
        _node(node, found.nodes.get(key))
        for key, node in right.nodes.items()
        if _end(node) != _end(found.nodes.get(key))
    ]
    if right.status != found.status:
        said.append(f"the execution {found.status} instead of {right.status}.")
    elif _plain(right.output) != _plain(found.output):
        said.append(f"the output is {_short(found.output)} instead of {_short(right.output)}.")
    kept, found_kept = right.storage[EXECUTION], found.storage[EXECUTION]
    if kept != found_kept:
        said.append(f"its storage holds {_short(found_kept)} instead of {_short(kept)}.")
    return " ".join(said)


def _end(node: Node | None) -> tuple[Any, Any] | None:
    return (node.status, _plain(node.output)) if node is not None else None


def _plain(value: Any) -> Any:
    """Return the value with its references to artifacts without their ids, which are new each time."""
    if isinstance(value, dict):
        is_artifact = "artifact" in value and "sha256" in value
        return {key: _plain(item) for key, item in value.items() if not (is_artifact and key == "artifact")}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _node(right: Node, found: Node | None) -> str:
    if found is None:
        return f'node "{right.id}" is not there.'
    if found.status != right.status:
        return f"node {found} instead of {right.status}."
    return f'the output of node "{right.id}" is {_short(found.output)} instead of {_short(right.output)}.'


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
