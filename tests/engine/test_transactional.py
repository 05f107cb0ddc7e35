"""Which nodes may be transactional, and how that is kept."""

from __future__ import annotations

import pytest

from orchestration import CachePolicy, GraphError, WorkflowBuilder
from orchestration.engine.codec import decode_graph, encode_graph
from orchestration.engine.errors import InvalidOption


def books(ctx):
    return 1


async def asynchronous(ctx):
    return 1


def one_node(body=books, *, transactional=True, timeout=5, **options):
    node = {"transactional": transactional, "timeout": timeout, **options}
    return WorkflowBuilder("books").add_node("work", body, **node).build()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"body": asynchronous}, "is transactional and has an async body"),
        ({"timeout": None}, "is transactional and has no timeout"),
        ({"cache": CachePolicy(ttl=1)}, "is transactional and has a cache"),
    ],
)
def test_a_graph_that_cannot_hold_is_refused_by_name(options, says):
    with pytest.raises(GraphError, match=f'Node "work" of workflow "books" {says}'):
        one_node(**options)


def test_a_repeated_body_and_what_is_neither_true_nor_false_are_refused():
    with pytest.raises(GraphError, match="is transactional and is repeated"):
        (
            WorkflowBuilder("r")  # type: ignore[call-arg]
            .repeat("x", books, until=lambda ctx, r: True, max_iterations=2, timeout=1, transactional=True)
            .build()
        )
    with pytest.raises(InvalidOption, match='transactional of node "work" is 1; it must be True or False'):
        one_node(transactional=1)


def test_the_option_is_part_of_the_version_and_older_versions_keep_their_sums():
    plain, transactional = one_node(transactional=False), one_node()
    assert "transactional" not in encode_graph(plain.graph)["nodes"][0]
    assert decode_graph(encode_graph(transactional.graph)) == transactional.graph
    assert plain.checksum() != transactional.checksum()
