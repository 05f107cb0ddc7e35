"""Bodies that run again and again until they are done."""

from __future__ import annotations

import pytest

from orchestration import CachePolicy, RetryPolicy, WorkflowBuilder, executor, task
from orchestration.api.shapes import graph
from orchestration.engine.codec import decode_graph, encode_graph
from orchestration.engine.errors import GraphError, InvalidOption
from orchestration.testing import crash_everywhere, run
from security.principals import Principal

pytestmark = pytest.mark.django_db
RAN: list[object] = []


@pytest.fixture(autouse=True)
def nothing_ran():
    RAN.clear()


def poll(ctx):
    RAN.append(ctx.iteration)
    return {"number": ctx.iteration, "before": (ctx.previous or {}).get("number")}


def third(ctx, result):
    return result["number"] == 3


async def poll_async(ctx):
    return await ctx.step("ask", lambda: poll(ctx))


async def third_async(ctx, result):
    return third(ctx, result)


def polling(body=poll, until=third, **options):
    given = {"max_iterations": 5, "delay": "10m", **options}
    return WorkflowBuilder("polls", output="poll").repeat("poll", body, until=until, **given)


@pytest.mark.parametrize("how", [(poll, third), (poll_async, third_async), (poll_async, third)])
def test_a_body_runs_until_it_is_done_and_each_run_is_kept(how):
    result = run(polling(*how).build())
    assert result.output == {"number": 3, "before": 2}
    assert RAN == [1, 2, 3]
    waits = [e["data"]["waits"] for e in result.events if e["type"] == "node.waiting"]
    assert waits == [[{"kind": "sleep", "name": "sleep", "timeout": 600.0}]] * 2


def test_a_body_without_a_delay_is_repeated_in_one_go():
    result = run(polling(delay=0).build())
    assert result.output["number"] == 3
    assert "node.waiting" not in {e["type"] for e in result.events}


def test_a_body_that_is_never_done_fails_with_an_error_of_its_own_and_a_retry_by_hand_counts_anew():
    result = run(polling(until=lambda ctx, found: len(RAN) > 7, retry=RetryPolicy(max_attempts=3)).build())
    assert (result.status, result.error["type"], RAN) == ("failed", "RepeatExhausted", [1, 2, 3, 4, 5])
    with result.now():
        executor.retry(result.id, principal=result.principal)
    assert result.go_on().output["number"] == 3


def test_so_does_a_decision_to_try_again():
    result = run(polling(until=lambda ctx, found: len(RAN) > 7, on_exhausted="pause").build())
    assert result.nodes["poll"].status == "attention"
    with result.now():
        executor.attend(result.id, "poll", "retry", principal=result.principal)
    assert result.go_on().output["number"] == 3


def test_a_retry_by_the_policy_goes_on_with_the_iteration_that_failed():
    def flaky(ctx):
        kept = ctx.step("effect", lambda: RAN.append(("effect", ctx.iteration)))
        RAN.append(ctx.iteration)
        if RAN.count(2) == 1 and ctx.iteration == 2:
            raise ConnectionError("down")
        return {"number": ctx.iteration, "kept": kept}

    result = run(polling(flaky, retry=RetryPolicy(max_attempts=2)).build())
    assert result.output == {"number": 3, "kept": None}
    assert RAN == [("effect", 1), 1, ("effect", 2), 2, 2, ("effect", 3), 3]


def test_each_iteration_has_waits_of_its_own():
    def waits(ctx):
        said = ctx.wait_for_signal("go")
        ctx.sleep("1h")
        return {"number": ctx.iteration, "said": said}

    signals = [("go", number) for number in "abc"]
    assert run(polling(waits).build(), signals=signals).output == {"number": 3, "said": "c"}


def test_a_body_that_swallows_its_suspension_is_not_done_with_its_iteration():
    def swallows(ctx):
        try:
            return {"number": ctx.iteration, "said": ctx.wait_for_signal("go")}
        except BaseException:
            return {"number": 3, "said": "swallowed"}

    signals = [("go", number) for number in "abc"]
    assert run(polling(swallows, delay=0).build(), signals=signals).output["said"] == "c"


def test_what_stands_in_for_a_repeated_body_is_repeated_too():
    result = run(polling().build(), bodies={"poll": lambda ctx: {"number": ctx.iteration + 1}})
    assert result.output == {"number": 3}


def test_a_condition_of_a_repeat_is_asked_once():
    asked: list[int] = []

    def asks(ctx):
        asked.append(1)
        return True

    result = run(polling(when=asks).build())
    assert (result.output["number"], asked) == (3, [1])


def test_a_graph_made_at_run_time_names_the_task_that_says_when_it_is_done():
    task("tests.poll")(poll)
    task("tests.third")(third)
    workflow = polling("tests.poll", "tests.third").build()
    assert decode_graph(encode_graph(workflow.graph)) == workflow.graph
    assert run(workflow).output["number"] == 3
    with pytest.raises(GraphError, match="Name a registered @task as its `until`"):
        executor.start(polling("tests.poll").build(), principal=Principal.system("tests"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"until": 7}, 'until of node "poll" is 7'),
        ({"until": third_async}, "async only for an async body"),
        (
            {"max_iterations": 0},
            'max_iterations of node "poll" is 0; it must be a whole number from 1 to 10,000',
        ),
        ({"delay": "soon"}, "delay of node \"poll\" is 'soon'"),
    ],
)
def test_what_cannot_be_repeated_is_refused_by_name(given, says):
    with pytest.raises(InvalidOption) as caught:
        polling(**given)
    assert says in str(caught.value)


def test_a_repeat_is_not_cached():
    with pytest.raises(GraphError, match='"poll" of workflow "polls" has a `cache` and is repeated'):
        polling(cache=CachePolicy(ttl=1)).build()


def test_another_delay_is_another_version():
    assert polling().build().checksum() != polling(delay="11m").build().checksum()


@pytest.mark.django_db(transaction=True)
def test_an_iteration_that_was_kept_never_runs_again_wherever_a_worker_dies():
    once: list[int] = []

    def counts(ctx):
        once.append(ctx.iteration)
        return {"number": ctx.iteration}

    tried = crash_everywhere(polling(counts).build(), before=once.clear, compare=lambda result: result.output)
    assert tried.crashes > 8


def test_a_repeat_is_told_in_the_api_and_the_inspector(console):
    result = run(polling().build())
    page = console.get(f"/executions/{result.id}/?node=poll").content.decode()
    assert "test_repeat:third, up to 5 times, 10 m 00 s apart" in page
    [node] = graph(polling().build().graph)["nodes"]
    assert node["repeat"] == {"until": f"{__name__}:third", "max_iterations": 5, "delay": 600.0}
