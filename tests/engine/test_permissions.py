"""Who a node runs for, as data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import Permissions, WorkflowBuilder
from orchestration.engine.admission import guarded_from, sure
from orchestration.engine.codec import decode_graph, encode_graph
from orchestration.engine.errors import InvalidOption

NAMES = st.lists(st.sampled_from(["admin", "operator", "alice", "bob"]), max_size=3)


def body(ctx):
    pass


def graph_of(permissions=None, when=None):
    builder = WorkflowBuilder("guarded").add_node("first", body, when=when)
    builder.add_node("second", body, depends_on=["first"], permissions=permissions)
    return builder.add_node("third", body, depends_on=["second"]).build().graph


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "required_roles"),
        ({"required_roles": [1]}, "required_roles"),
        ({"required_roles": [" admin"]}, "required_roles"),
        ({"allowed_users": 7}, "allowed_users"),
        ({"require_mfa": "yes"}, "require_mfa"),
        ({"require_mfa": True, "on_denied": "ask"}, "on_denied"),
        ({"require_mfa": True, "mfa_max_age": 0}, "mfa_max_age"),
        ({"require_mfa": True, "mfa_max_age": "soon"}, "mfa_max_age"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(given, named):
    with pytest.raises(InvalidOption, match=f"Permissions.{named}"):
        Permissions(**given)


def test_a_node_takes_permissions_and_nothing_else_for_them():
    with pytest.raises(InvalidOption, match='permissions of node "a"'):
        WorkflowBuilder("w").add_node("a", body, permissions={"required_roles": ["admin"]})  # type: ignore[arg-type]


@given(roles=NAMES, users=NAMES, held=NAMES, name=st.sampled_from(["alice", "bob", "carol"]))
def test_either_a_role_or_a_name_admits_and_where_none_is_named_everybody(roles, users, held, name):
    permissions = Permissions(required_roles=roles, allowed_users=users, require_mfa=True)
    expected = not (roles or users) or name in users or bool(set(roles) & set(held))
    assert permissions.admits(name, held) is expected


@given(
    roles=NAMES,
    users=NAMES,
    mfa=st.booleans(),
    wait=st.sampled_from(["fail", "wait"]),
    age=st.floats(1, 1e6, allow_nan=False),
)
def test_a_definition_keeps_permissions_to_the_letter(roles, users, mfa, wait, age):
    if not (roles or users):
        mfa = True
    permissions = Permissions(
        required_roles=roles, allowed_users=users, require_mfa=mfa, on_denied=wait, mfa_max_age=age
    )
    graph = graph_of(permissions)
    assert decode_graph(encode_graph(graph)) == graph
    assert graph.guarded == (graph.nodes["second"],)


def test_the_order_of_names_does_not_make_another_version():
    one, two = (Permissions(required_roles=roles) for roles in (["b", "a", "b"], {"a", "b"}))
    assert encode_graph(graph_of(one)) == encode_graph(graph_of(two))


def test_a_run_is_sure_to_come_to_what_no_condition_stands_before():
    assert sure(graph_of()) == {"first", "second", "third"}
    assert sure(graph_of(when=body)) == set()


def test_what_runs_for_another_is_never_sure():
    builder = WorkflowBuilder("w").add_node("a", body, fallback="b", compensate=body).add_node("b", body)
    builder.add_node("c", body, depends_on=["a"], join="one_failed")
    assert sure(builder.build().graph) == {"a"}


def test_a_change_concerns_the_guarded_nodes_from_there_on():
    graph = graph_of(Permissions(required_roles=["admin"]))
    assert [node.id for node in guarded_from(graph, ["first"])] == ["second"]
    assert guarded_from(graph, ["third"]) == []
    assert guarded_from(graph, ["gone"]) == []
