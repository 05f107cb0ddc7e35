"""Random graphs, and scripts that drive a Simulation: bytes, so that a failing run shrinks to a short one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from orchestration.engine.attention import DECISIONS
from orchestration.engine.errors import IllegalMove
from orchestration.engine.graph import Graph, NodeSpec, make_graph
from orchestration.engine.policies import JOINS, AtLeast, Bound, Handles, Items, Join, RetryPolicy
from orchestration.engine.states import ExecutionStatus as E
from orchestration.engine.states import NodeStatus as N
from orchestration.engine.states import Outcome
from orchestration.engine.verbs import LEGAL
from tests.engine.simulation import ERROR, Simulation


def joins(parents: Sequence[str] = ("p",)) -> st.SearchStrategy[Join]:
    """Return the joins that a node with these predecessors may have."""
    rules = [st.sampled_from(JOINS), st.integers(1, max(1, len(parents))).map(AtLeast)]
    return st.one_of(*rules, *([expressions(parents)] if parents else []))


Term = tuple[Any, ...]  # ("asked", node, outcome), ("not", term), ("and" or "or", term, term)


def terms(names: Sequence[str]) -> st.SearchStrategy[Term]:
    """Return outcome expressions over these nodes, as what they mean."""
    outcomes = st.sampled_from(["ok", "failed", "skipped", "done"])
    return st.recursive(
        st.tuples(st.just("asked"), st.sampled_from(names), outcomes),
        lambda part: st.one_of(
            st.tuples(st.just("not"), part), st.tuples(st.sampled_from(["and", "or"]), part, part)
        ),
        max_leaves=4,
    )


def text_of(term: Term) -> str:
    """Return the expression as an author writes it."""
    match term:
        case ("asked", node, outcome):
            return f"'{node}'.{outcome}"
        case ("not", part):
            return f"not ({text_of(part)})"
        case (word, left, right):
            return f"({text_of(left)} {word} {text_of(right)})"
    raise AssertionError(term)


def expressions(names: Sequence[str]) -> st.SearchStrategy[str]:
    """Return outcome expressions over these nodes."""
    return terms(names).map(text_of)


policies = st.none() | st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 4),
    initial_interval=st.sampled_from([0, 1, "5s"]),
    strategy=st.sampled_from(["exponential", "linear", "fixed"]),
    jitter=st.sampled_from(["full", "none"]),
    retry_on=st.sampled_from([(), ("ValueError",), ("OSError",)]),
    do_not_retry=st.sampled_from([(), ("ValueError",)]),
)


@st.composite
def graphs(draw: st.DrawFn, most: int = 12) -> Graph:
    """Draw a graph whose nodes may depend on any that are declared before or after them."""
    count = draw(st.integers(1, most))
    names = [f"n{number}" for number in range(count)]
    nodes = []
    for number, name in enumerate(names):
        parents = draw(st.lists(st.sampled_from(names[:number]), max_size=4, unique=True)) if number else []
        nodes.append(
            NodeSpec(
                name,
                "m:f",
                depends_on=tuple(parents),
                join=draw(joins(parents)),
                retry=draw(policies),
                when=draw(st.sampled_from([None, None, "m:asked"])),
                on_exhausted=draw(st.sampled_from(["fail", "fail", "pause"])),
            )
        )
    nodes = draw(_gone_wide(nodes)) if draw(st.sampled_from([False, False, True])) else nodes
    nodes = draw(_with_rescuers(nodes)) if draw(st.booleans()) else nodes
    nodes = draw(_with_undos(nodes)) if draw(st.booleans()) else nodes
    on_failure = draw(st.sampled_from(["finish", "finish", "fail_fast"]))
    return make_graph("w", nodes if draw(st.booleans()) else reversed(nodes), on_failure=on_failure)


@st.composite
def _gone_wide(draw: st.DrawFn, nodes: list[NodeSpec]) -> list[NodeSpec]:
    """Make some nodes maps, and add some beside each other, up to a bound."""
    limits = st.sampled_from([None, 1, 2, 3])
    found = [
        replace(
            node,
            items=Items(call="m:f", concurrency=draw(limits), tolerate=draw(st.sampled_from([0, 1, 0.5]))),
        )
        if draw(st.booleans())
        else node
        for node in nodes
    ]
    like = replace(draw(st.sampled_from(nodes)), bound=Bound("g", draw(limits)))
    names = [f"g{number}" for number in range(draw(st.integers(1, 5)))]
    return [
        *found,
        *(replace(like, id=name) for name in names),
        NodeSpec("after", "m:f", depends_on=(*names,)),
    ]


@st.composite
def _with_rescuers(draw: st.DrawFn, nodes: list[NodeSpec]) -> list[NodeSpec]:
    """Give some nodes fallbacks, in cascades too, and the graph boundaries, some of which catch others' errors."""
    found = []
    for node in nodes:
        cascade = draw(st.integers(0, 2))
        names = [node.id, *(f"{node.id}-or{n}" for n in range(cascade))]
        for name, after in zip(names, [*names[1:], None], strict=True):
            own = node if name == node.id else NodeSpec(name, "m:f", retry=draw(policies))
            found.append(replace(own, fallback=after))
    ids = [node.id for node in found]
    for number in range(draw(st.integers(0, 3))):
        known = [*ids, *(f"b{n}" for n in range(number))]
        nodes_ = draw(
            st.none() | st.lists(st.sampled_from(known), min_size=1, max_size=4, unique=True).map(tuple)
        )
        types = draw(st.sampled_from([(), ("ValueError",), ("OSError", "KeyError")]))
        found.append(NodeSpec(f"b{number}", "m:f", handles=Handles(nodes_, types)))
    return found


@st.composite
def _with_undos(draw: st.DrawFn, nodes: list[NodeSpec]) -> list[NodeSpec]:
    """Give some nodes, whichever kind they are, something that undoes what they did."""
    chosen = [node for node in nodes if draw(st.booleans())]
    undos = [NodeSpec(f"undo:{node.id}", "m:f", retry=draw(policies)) for node in chosen]
    return [replace(node, compensate=f"undo:{node.id}") if node in chosen else node for node in nodes] + undos


class Script:
    """A finite source of choices; once it is used up it always chooses the first."""

    def __init__(self, text: bytes) -> None:
        self._left = list(text)

    def __bool__(self) -> bool:
        return bool(self._left)

    def pick(self, count: int) -> int:
        return self._left.pop(0) % count if self._left else 0


# Left to itself hypothesis draws about five bytes.
scripts = st.one_of(st.binary(max_size=40), *(st.binary(min_size=n, max_size=n + 60) for n in (60, 150))).map(
    Script
)

_OUTCOMES = (
    [Outcome.SUCCEEDED] * 5
    + [Outcome.FAILED] * 3
    + [Outcome.SKIPPED, Outcome.TIMED_OUT, Outcome.LOST, Outcome.RELEASED, Outcome.BLOCKED, Outcome.CANCELLED]
    + [Outcome.SUSPENDED] * 2
)
_VERBS = [
    *(
        "pause",
        "resume",
        "resume",
        "cancel",
        "roll back",
        "terminate",
        "retry",
        "retry one",
        "skip one",
        "supply one",
    ),
    *("expire", "unblock"),
]


def play(simulation: Simulation, script: Script) -> None:
    """Do what the script says until it is used up: claims, beats, outcomes, now and then a verb."""
    while script:
        choice = script.pick(16)
        if choice < 13 and not simulation.status().is_terminal:
            _work(simulation, script, choice)
        else:
            _act(simulation, script, _VERBS[script.pick(len(_VERBS))])


def _work(simulation: Simulation, script: Script, choice: int) -> None:
    ready, running = simulation.claimable(), simulation.having(N.RUNNING)
    if (asked := simulation.having(N.ATTENTION)) and (choice == 11 or not (ready or running)):
        simulation.attend(asked[0].key.node, DECISIONS[script.pick(len(DECISIONS))])
        return
    if (parked := simulation.parked()) and (choice == 10 or not (ready or running)):
        key = parked[script.pick(len(parked))].key
        (simulation.overdue if script.pick(4) == 3 else simulation.wake)(key)
    elif ready and (choice < 5 or not running):
        simulation.claim(ready[script.pick(len(ready))].key)
    elif running and choice == 12:
        simulation.heartbeat(running[script.pick(len(running))].key)
    elif running:
        _settle(simulation, script, running[script.pick(len(running))].key)
    else:
        simulation.close(script.pick(3))


def _settle(simulation, script: Script, key) -> None:
    outcome = _OUTCOMES[script.pick(len(_OUTCOMES))]
    if outcome is Outcome.SKIPPED and (key.index >= 0 or simulation.graph.nodes[key.node].when is None):
        outcome = Outcome.SUCCEEDED
    waves = (500, 0, 1)[script.pick(3)]
    if outcome is Outcome.SUCCEEDED:
        simulation.settle(key, outcome, waves=waves, result='"done"')
    elif outcome is Outcome.SUSPENDED:
        simulation.settle(key, outcome, waves=waves, woken=("", "it is there")[script.pick(2)])
    elif outcome is Outcome.LOST:
        simulation.settle(key, outcome, waves=waves, alone=script.pick(2) == 0)
    elif outcome is Outcome.FAILED:
        asked = (None, None, False, True, 2.5)[script.pick(5)]
        types = (["ValueError"], ["OSError", "ValueError"], ["KeyError"])[script.pick(3)]
        error = {**ERROR, "types": types}
        simulation.settle(key, outcome, waves=waves, asked=asked, error=error, jitter=0.25)
    else:
        simulation.settle(key, outcome, waves=waves)


def _act(simulation: Simulation, script: Script, verb: str) -> None:
    status = simulation.status()
    if verb == "expire":
        if not status.is_terminal and not simulation.view.expired and status is not E.COMPENSATING:
            simulation.expire()
    elif verb == "unblock":
        blocked = simulation.having(N.BLOCKED)
        simulation.unblock([row.key for row in blocked[: script.pick(len(blocked) + 1)]])
    elif verb.endswith(" one") and status in LEGAL["retry"]:
        _act_on_one(simulation, script, verb.removesuffix(" one"))
    elif verb == "roll back" and status in LEGAL["cancel"]:
        simulation.act("cancel", rollback=True)
    elif verb in LEGAL and status in LEGAL[verb]:
        simulation.act(verb)


def _act_on_one(simulation: Simulation, script: Script, decision: str) -> None:
    names = list(simulation.graph.nodes)
    node = names[script.pick(len(names))]
    status = simulation.statuses().get(node)
    before = repr(simulation.view)
    try:
        if decision == "retry":
            simulation.act("retry", node=node)
        else:
            simulation.attend_again(node, decision)
    except IllegalMove:
        assert repr(simulation.view) == before
        # What a predecessor that runs again has still to release can be neither skipped nor given a result.
        assert simulation.graph.is_companion(node) or decision != "retry" or status is None
