"""Joins as expressions over outcomes: how they are read, and when they are sure."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import WorkflowBuilder
from orchestration.engine.errors import GraphError, InvalidOption
from orchestration.engine.expressions import OUTCOMES, nodes_of, parse, truth
from orchestration.engine.joins import Counts, Verdict, verdict
from tests.engine.strategies import Term, expressions, terms, text_of

NAMES = ("p", "q", "r")


def means(term: Term, outcomes: dict[str, str]) -> bool:
    """Say what it means when every outcome is known."""
    match term:
        case ("asked", node, outcome):
            return outcome in (outcomes[node], "done")
        case ("not", part):
            return not means(part, outcomes)
        case ("and", left, right):
            return means(left, outcomes) and means(right, outcomes)
        case ("or", left, right):
            return means(left, outcomes) or means(right, outcomes)
    raise AssertionError(term)


@given(terms(NAMES), st.fixed_dictionaries({name: st.sampled_from(OUTCOMES) for name in NAMES}))
def test_an_expression_means_what_it_says(term, outcomes):
    assert truth(parse(text_of(term)), outcomes) is means(term, outcomes)


@given(expressions(NAMES), st.dictionaries(st.sampled_from(NAMES), st.sampled_from(OUTCOMES)))
def test_what_is_sure_early_stays_whatever_comes(text, known):
    said = truth(parse(text), known)
    if said is not None:
        for rest in product(OUTCOMES, repeat=len(NAMES)):
            assert truth(parse(text), dict(zip(NAMES, rest, strict=True)) | known) is said


def test_the_sample_of_the_guide():
    expression = parse("p.ok and (f.ok or f.failed)")
    assert list(nodes_of(expression)) == ["p", "f", "f"]
    assert truth(expression, {"p": "ok", "f": "failed"}) is True
    assert truth(expression, {"p": "ok", "f": "skipped"}) is False
    assert truth(expression, {"p": "failed"}) is False
    assert truth(expression, {"p": "ok"}) is None


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ({}, Verdict.WAIT),
        ({"p": "failed"}, Verdict.RUN),
        ({"p": "ok"}, Verdict.WAIT),
        ({"p": "ok", "q": "ok"}, Verdict.SKIP),
        ({"p": "ok", "q": "failed"}, Verdict.FAIL),
    ],
)
def test_it_runs_as_soon_as_it_is_true_and_gives_up_when_all_have_ended(outcomes, said):
    ended = list(outcomes.values())
    counts = Counts(2, ended.count("ok"), ended.count("failed"), ended.count("skipped"))
    assert verdict("p.failed", counts, outcomes) is said


WRONG = [
    "p.ok and",
    "p.good",
    "p.ok + q.ok",
    "p().ok",
    "__import__('os').ok",
    "p.ok.ok",
    "p.ok if q.ok else r.ok",
]


@pytest.mark.parametrize("text", [*WRONG, "p." + "ok." * 9])
def test_anything_else_is_refused_with_what_one_looks_like(text):
    with pytest.raises(InvalidOption, match=r"read\.ok and not check\.failed"):
        WorkflowBuilder("w").add_node("a", print, join=text)


def test_it_may_ask_only_for_predecessors():
    builder = (
        WorkflowBuilder("w")
        .add_node("read", print)
        .add_node("use", print, depends_on=["read"], join="raed.ok")
    )
    with pytest.raises(
        GraphError, match=r'asks for "raed", which it does not depend on\. Did you mean "read"\?'
    ):
        builder.build()


def test_a_node_whose_id_is_no_name_stands_in_quotes():
    assert truth(parse("'read-all'.ok"), {"read-all": "ok"}) is True
