"""The cache under two real worker processes: equal results are computed once, and every hit says whose it is."""

import os
import signal
import uuid
from pathlib import Path

import pytest

from orchestration import executor
from orchestration.api.shapes import execution_detail
from orchestration.engine.states import EXECUTION_TERMINAL
from orchestration.models import CacheCount, CacheEntry, CacheFlight, CacheWait, Execution
from tests import cached_workflows as samples
from tests.cluster import (
    ME,
    begin,
    ended,
    events,
    lines_of,
    run_of,
    status,
    transactional_db,  # noqa: F401 - a fixture
    wait_until,
)

both_lanes = pytest.mark.parametrize(
    "workflow", [samples.cached, samples.cached_async], ids=["sync", "async"]
)


def fresh(**more):
    """Return an input that nobody has computed for."""
    return {"of": str(uuid.uuid4()), **more}


def source(id, node="work"):
    """Return the execution that the node's result came from; None where the body ran."""
    return (events(id, "node.completed", node=node)[0]["data"].get("cached") or {}).get("execution")


def runs(crew, ids):
    """Return how often a body ran in all of these executions."""
    return sum(crew.ledger.runs(id)["work"] for id in ids)


@both_lanes
def test_an_equal_execution_takes_over_the_result_and_says_whose_it_is(crew, workflow):
    told = fresh()
    first, second, other = begin(workflow, told), None, begin(workflow, fresh())
    ended(first)
    ended(other)
    second = begin(workflow, told)
    assert ended(second).output == {"work": {"of": told["of"], "from": str(first)}}
    assert source(second) == str(first)
    assert source(first) is None
    assert source(other) is None
    assert (runs(crew, [first]), runs(crew, [second]), runs(crew, [other])) == (1, 0, 1)


def test_a_condition_is_asked_before_the_cache(crew):
    told = fresh()
    ended(begin(samples.cached, told))
    skipped = begin(samples.cached_by_key, told)
    ended(skipped)
    assert source(skipped) is None, "another workflow has entries of its own"
    not_wanted = begin(samples.cached, {**told, "run": False})
    ended(not_wanted)
    assert run_of(not_wanted, "work").status == "skipped"


@both_lanes
def test_of_a_dozen_at_once_one_computes_and_the_others_wait_without_a_worker(crew, tmp_path, workflow):
    told = fresh(gate=str(tmp_path / "gate"))
    ids = [begin(workflow, told) for _ in range(12)]
    wait_until(
        lambda: CacheWait.objects.filter(run_id__in=[run_of(id, "work").pk for id in ids]).count() == 11
    )
    wait_until(lambda: sum(run_of(id, "work").status == "ready" for id in ids) == 11)
    assert ended(begin(workflow, fresh())).status == "succeeded", "the workers are free meanwhile"
    assert runs(crew, ids) == 1
    Path(told["gate"]).touch()
    for id in ids:
        ended(id)
    computing = next(id for id in ids if runs(crew, [id]))
    assert runs(crew, ids) == 1
    assert {source(id) for id in ids if id != computing} == {str(computing)}
    assert not CacheFlight.objects.exists()
    wait_until(lambda: not CacheWait.objects.exists())
    waited = next(id for id in ids if id != computing)
    told = [event["data"]["execution"] for event in events(waited, "node.released") if event["data"]]
    assert told == [str(computing)], "it waited once, however long that took"
    assert run_of(waited, "work").attempt == 1


def test_where_computing_fails_the_next_one_computes(crew, tmp_path):
    (tmp_path / "fails").touch()
    told = fresh(gate=str(tmp_path / "gate"), fails=str(tmp_path / "fails"))
    ids = [begin(samples.cached_failing, told) for _ in range(5)]
    wait_until(lambda: CacheWait.objects.count() == 4)
    Path(told["gate"]).touch()
    wait_until(lambda: {status(id) for id in ids} <= EXECUTION_TERMINAL)
    assert sorted(status(id) for id in ids) == ["failed", *["succeeded"] * 4]
    assert runs(crew, ids) == 2


def test_a_failure_is_not_cached_and_the_good_attempt_is(crew, tmp_path):
    (tmp_path / "fails").touch()
    (tmp_path / "gate").touch()
    told = fresh(gate=str(tmp_path / "gate"), fails=str(tmp_path / "fails"))
    first = begin(samples.cached_retried, told)
    ended(first)
    second = begin(samples.cached_retried, told)
    ended(second)
    assert runs(crew, [first]) == 2
    assert source(second) == str(first)


def test_refresh_computes_anew_and_renews_the_entry(crew):
    told = fresh()
    ended(begin(samples.cached, told))
    renewed = begin(samples.cached, told, refresh=True)
    ended(renewed)
    assert source(renewed) is None
    after = begin(samples.cached, told)
    ended(after)
    assert source(after) == str(renewed)
    assert events(renewed, "execution.started")[0]["data"]["refresh"] is True


def test_an_entry_stands_for_its_time_and_no_longer(crew):
    told = fresh()
    first = begin(samples.cached_shortly, told)
    ended(first)
    later = wait_until(lambda: _computes_anew(told), every=0.2)
    assert later != first


def _computes_anew(told):
    id = begin(samples.cached_shortly, told)
    ended(id)
    return id if source(id) is None else None


def test_a_key_of_ones_own_stands_for_the_input(crew):
    of = str(uuid.uuid4())
    first, second = begin(samples.cached_by_key, {"of": of, "at": 1}), None
    ended(first)
    second = begin(samples.cached_by_key, {"of": of, "at": 2})
    ended(second)
    assert source(second) == str(first)


def test_the_default_key_has_the_results_that_the_node_depends_on(crew):
    told = fresh()
    first, second = begin(samples.cached_behind, told), begin(samples.cached_behind, told)
    ended(first)
    ended(second)
    assert source(first) is source(second) is None, "the node before it says something else each time"


def test_a_global_entry_serves_every_workflow_that_uses_the_body(crew):
    told = fresh()
    first = begin(samples.shared_one, told)
    ended(first)
    second = begin(samples.shared_two, told)
    ended(second)
    assert source(second) == str(first)


def test_what_refers_to_files_is_not_cached_and_says_so(crew):
    ids = [begin(samples.cached_file, {}) for _ in range(2)]
    for id in ids:
        ended(id)
        assert "artifacts" in lines_of(id, "work")[0]
    assert runs(crew, ids) == 2


def test_hits_and_misses_are_counted_and_entries_are_in_the_book(crew):
    def counted():
        rows = CacheCount.objects.filter(workflow="t-cached-async").values_list("hits", "misses")
        return sum(hits for hits, _ in rows), sum(misses for _, misses in rows)

    hits, misses = counted()
    told = fresh()
    first = begin(samples.cached_async, told)
    ended(first)
    ended(begin(samples.cached_async, told))
    assert counted() == (hits + 1, misses + 1)
    entry = CacheEntry.objects.get(execution=first)
    assert (entry.workflow, entry.node, entry.store, entry.scope) == (
        "t-cached-async",
        "work",
        "default",
        "workflow",
    )


def test_the_entries_of_before_an_invalidation_are_not_taken_over_nor_what_is_being_computed_then(
    crew, tmp_path
):
    told, other = fresh(), fresh(gate=str(tmp_path / "gate"))
    ended(begin(samples.cached_async, told))
    running = begin(samples.cached_async, other)
    wait_until(lambda: runs(crew, [running]))
    assert executor.invalidate_cache(principal=ME, workflow="t-cached-async") >= 1
    Path(other["gate"]).touch()
    ended(running)
    for input in (told, other):
        id = begin(samples.cached_async, input)
        ended(id)
        assert source(id) is None
        again = begin(samples.cached_async, input)
        ended(again)
        assert source(again) == str(id)


def test_a_tag_invalidates_what_was_cached_with_it(crew):
    told = fresh()
    ended(begin(samples.cached_by_key, told))
    executor.invalidate_cache(principal=ME, tag="named")
    id = begin(samples.cached_by_key, told)
    ended(id)
    assert source(id) is None


def test_a_global_entry_goes_with_any_workflow_that_shares_it(crew):
    told = fresh()
    ended(begin(samples.shared_one, told))
    executor.invalidate_cache(principal=ME, workflow="t-shared-two", node="work")
    id = begin(samples.shared_one, told)
    ended(id)
    assert source(id) is None


def test_who_waits_goes_on_when_the_worker_that_computes_is_killed(crew, tmp_path):
    told = fresh(gate=str(tmp_path / "gate"))
    ids = [begin(samples.cached_async, told) for _ in range(4)]
    wait_until(lambda: CacheWait.objects.count() == 3)
    holder = CacheFlight.objects.get().execution
    os.kill(crew.ledger.entries(holder)[0].pid, signal.SIGKILL)
    wait_until(lambda: runs(crew, ids) == 2, what="somebody computes it again")
    Path(told["gate"]).touch()
    for id in ids:
        ended(id)
    assert runs(crew, ids) == 2
    assert len({source(id) for id in ids}) == 2, "one computed, and the others took that over"


def test_a_result_is_computed_once_though_its_body_is_parked_meanwhile(crew):
    told = fresh()
    first = begin(samples.cached_parked, told)
    wait_until(lambda: run_of(first, "work").status == "waiting")
    others = [begin(samples.cached_parked, told) for _ in range(3)]
    wait_until(lambda: CacheWait.objects.count() == 3)
    wait_until(lambda: all(run_of(id, "work").status == "ready" for id in others))
    why = {
        node["node"]: node["why"]
        for node in execution_detail(ME, Execution.objects.get(pk=others[0]))["nodes"]
    }
    assert str(first) in why["work"]
    executor.send_signal(first, "go", {"word": "now"}, principal=ME)
    for id in (first, *others):
        assert ended(id).output == {"work": {"of": told["of"], "from": str(first), "said": {"word": "now"}}}
    assert runs(crew, others) == 0
    assert {source(id) for id in others} == {str(first)}
