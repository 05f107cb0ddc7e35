"""What makes two results of a cached node the same one, and what a policy may say."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration import CachePolicy, GraphError, WorkflowBuilder
from orchestration.engine.caching import code_version, key_of
from orchestration.engine.codec import decode_graph, encode_graph
from orchestration.engine.errors import InvalidOption

ROOT = Path(__file__).resolve().parents[2]


def body_of(source: str, name: str = "body"):
    """Return the function that the source defines."""
    namespace = {"__name__": "made.up"}
    exec(compile(source, "made_up.py", "exec"), namespace)  # noqa: S102 - ours
    return namespace[name]


PLAIN = "def body(ctx):\n    return ctx.input['n'] + 1\n"


def test_where_code_stands_and_how_it_is_spaced_does_not_change_its_version():
    assert code_version(body_of(PLAIN)) == code_version(
        body_of("\n\n# why\n" + PLAIN.replace(" + ", "  +  "))
    )


@pytest.mark.parametrize(
    "changed",
    [
        PLAIN.replace("+ 1", "+ 2"),
        PLAIN.replace("'n'", "'m'"),
        PLAIN.replace("+ 1", "- 1"),
        PLAIN.replace("ctx.input", "ctx.params"),
        PLAIN.replace("(ctx)", "(ctx, more=3)"),
        "def body(ctx):\n    return [ctx.input['n'] + 1 for _ in (1,)][0]\n",
    ],
    ids=["constant", "key", "operator", "attribute", "default", "inner code"],
)
def test_what_the_body_computes_changes_its_version(changed):
    assert code_version(body_of(PLAIN)) != code_version(body_of(changed))


def test_a_decorator_passes_on_what_it_wraps():
    def logged(body):
        @functools.wraps(body)
        def wrapper(ctx):
            return body(ctx)

        return wrapper

    one, other = body_of(PLAIN), body_of(PLAIN.replace("+ 1", "+ 2"))
    assert code_version(logged(one)) == code_version(logged(body_of(PLAIN)))
    assert code_version(logged(one)) != code_version(logged(other))
    assert code_version(functools.partial(one, 1)) != code_version(functools.partial(one, 2))


def test_a_function_that_closes_over_itself_and_one_without_python_code_have_a_version():
    def again(ctx):
        return again(ctx)

    class Callable:
        def __init__(self, factor):
            self.factor = factor

        def __call__(self, ctx):
            return self.factor

    assert code_version(again) == code_version(again)
    assert code_version(len) != code_version(max)
    assert code_version(Callable(2)) != code_version(Callable(3))


def test_every_process_gives_code_the_same_version():
    script = (
        "from tests.cached_workflows import computed; from orchestration.engine.caching import code_version\n"
        "print(code_version(computed), code_version(lambda ctx: ctx.input in {'a', 'b', 'c', 'd'}))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": "", "IGON7_NO_VENV": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_a_key_is_that_of_the_values_whatever_their_order():
    assert key_of({"a": 1, "b": [1, {"x": 1, "y": 2}]}) == key_of({"b": [1, {"y": 2, "x": 1}], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": "1"})
    assert len(key_of({})) < 100
    with pytest.raises(TypeError):
        key_of({"a": object()})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ttl": 0}, "longer than nothing"),
        ({"ttl": "soon"}, "ttl"),
        ({"ttl": 1, "key_fn": hash}, "every process"),
        ({"ttl": 1, "key_fn": "input"}, "callable"),
        ({"ttl": 1, "scope": "node"}, "workflow, global"),
        ({"ttl": 1, "store": ""}, "store"),
        ({"ttl": 1, "tags": ["a\0"]}, "tags"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(options, said):
    with pytest.raises(InvalidOption, match=said):
        CachePolicy(**options)


def cached(**options):
    return WorkflowBuilder("w").add_node("a", body_of(PLAIN), **options).build()


def test_a_graph_keeps_its_policy_and_one_without_keeps_its_checksum():
    policy = CachePolicy(ttl="1h", store="redis", scope="global", tags=["b", "a"], key_fn=len)
    graph = cached(cache=policy).graph
    again = decode_graph(encode_graph(graph)).nodes["a"].cache
    assert again == policy
    assert again is not None
    assert (again.ttl, again.tags, again.key_fn) == (3600, ("a", "b"), None)
    assert encode_graph(cached(cache=CachePolicy(ttl=60)).graph)["nodes"][0]["cache"] == {"ttl": 60}
    assert "cache" not in encode_graph(cached().graph)["nodes"][0]


def test_a_node_that_can_be_undone_has_no_cache():
    with pytest.raises(GraphError, match=r'"a".*`cache` and a `compensate`'):
        cached(cache=CachePolicy(ttl=1), compensate=body_of(PLAIN))
    with pytest.raises(InvalidOption, match='cache of node "a"'):
        cached(cache={"ttl": 1})
