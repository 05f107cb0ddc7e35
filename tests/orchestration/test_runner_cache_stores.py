"""Clusters of their own, whose default store is small, dead, or a real Redis."""

from pathlib import Path

from orchestration.models import CacheWait
from tests import cached_workflows as samples
from tests.cluster import (
    begin,
    cluster,
    ended,
    lines_of,
    transactional_db,  # noqa: F401 - a fixture
    wait_until,
)
from tests.orchestration.test_runner_cache import fresh, runs, source
from tests.redis_server import private_redis


def test_a_result_over_the_limit_is_not_cached_and_says_so(transactional_db, tmp_path):  # noqa: F811
    with cluster(tmp_path, workers=1, IGON7_CACHE_LIMIT="1000") as small:
        ids = []
        for size in (900, 900, 1100, 1100):
            ids.append(begin(samples.cached_large, {"size": size}))
            ended(ids[-1])
        assert [source(id) for id in ids] == [None, str(ids[0]), None, None]
        assert lines_of(ids[2], "work") == ["The result is not cached: it is 1102 bytes; the limit is 1000."]
        small.stop()


def test_a_dead_redis_is_a_miss_with_a_warning_and_costs_a_second_at_most(transactional_db, tmp_path):  # noqa: F811
    told = fresh()
    with cluster(tmp_path, workers=2, REDIS_URL=f"unix://{tmp_path}/nobody.sock") as alone:
        ids = [
            begin(workflow, told) for workflow in (samples.cached, samples.cached_async) for _ in range(10)
        ]
        for id in ids:
            ended(id, within=5.0)
        assert runs(alone, ids) == 20
        for id in ids:
            assert "“default” cannot be used" in lines_of(id, "work")[0]
            assert source(id) is None
        alone.stop()


def test_two_clusters_share_what_lies_in_redis(transactional_db, tmp_path):  # noqa: F811
    with private_redis(tmp_path) as url, cluster(tmp_path, workers=2, REDIS_URL=url) as first:
        told = fresh(gate=str(tmp_path / "gate"))
        ids = [
            begin(workflow, told) for workflow in (samples.cached, samples.cached_async) for _ in range(10)
        ]
        wait_until(lambda: CacheWait.objects.count() == 18)
        Path(told["gate"]).touch()
        for id in ids:
            ended(id)
        assert runs(first, ids) == 2
        first.stop()
        with cluster(tmp_path, workers=1, REDIS_URL=url) as second:
            later = begin(samples.cached, told)
            ended(later)
            assert source(later) in map(str, ids)
            assert runs(second, [later]) == 0
            second.stop()
