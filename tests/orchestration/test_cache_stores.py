"""Where results lie: a table and Redis, as JSON. Neither is unpickled; one that is away costs the cache alone."""

import pickle
import threading
import time
from pathlib import Path

import pytest
import redis
from django.core.cache import caches
from django.db import connection
from django.test import override_settings

from igon7site.setup.redis import redis_cache
from orchestration import CachePolicy, GraphError, WorkflowBuilder, cache_stores, registry
from orchestration.caching import stores, table, upkeep
from orchestration.models import CachedValue
from orchestration.store import clock
from tests.factories import nothing
from tests.redis_server import private_redis

AT = "2026-11-24T10:00:00+00:00"
TABLE = {"BACKEND": "orchestration.caching.table.TableCache"}


@pytest.fixture
def over_redis(tmp_path):
    with private_redis(tmp_path) as url, override_settings(CACHES={"default": redis_cache(url)}):
        yield url
        caches["default"].close()


@pytest.fixture
def over_table(db):
    with override_settings(CACHES={"default": TABLE}):
        yield


@pytest.fixture(params=["over_table", "over_redis"])
def store(request):
    request.getfixturevalue(request.param)
    return caches["default"]


@pytest.fixture(autouse=True)
def no_grudge(monkeypatch):
    monkeypatch.setattr(stores, "_away", {})


def test_a_store_gives_back_the_json_that_it_was_given(store):
    for value in (None, 0, -1.5, "text", [1, {"a": None}], {"déjà": "vu"}):
        store.set("k", value)
        assert store.get("k", "default") == value
    assert store.get("other", "default") == "default"
    assert store.add("k", 1) is False
    assert store.add("new", 1) is True
    store.set_many({"a": 1, "b": 2})
    assert store.get_many(["a", "b", "c"]) == {"a": 1, "b": 2}
    assert store.incr("a", 4) == 5
    assert store.get("a") == 5
    assert "a" in store
    assert store.delete("a") is True
    assert store.delete("a") is False
    store.clear()
    assert store.get("k") is None


def test_what_is_no_json_is_refused(store):
    with pytest.raises(TypeError):
        store.set("k", object())


def test_a_value_in_the_table_stands_for_its_time(over_table):
    cache = caches["default"]
    cache.set("short", 1, 10)
    cache.set("long", 2, None)
    assert cache.add("short", 3, 10) is False
    assert cache.touch("short", 100) is True
    with clock.ahead(50):
        assert cache.get("short") == 1
    with clock.ahead(200):
        assert cache.get("short") is None
        assert cache.touch("short", 100) is False
        assert cache.get("long") == 2
        assert cache.add("short", 3, 10) is True
        assert cache.get("short") == 3
    with clock.ahead(300):
        table.forget_expired()
        upkeep.tidy()
    assert CachedValue.objects.count() == 1


def test_a_result_is_read_under_its_own_key_only_and_as_it_was_written(store):
    stores.put("default", "k", '{"a":[1,2.50]}', "an-execution", AT, 60)
    kept = stores.get("default", "k")
    assert kept == stores.Kept({"a": [1, 2.5]}, "an-execution", AT)
    text = store.get("k")
    store.set("other", text)
    assert stores.get("default", "other") is None, "a result was moved to another key"
    store.set("k", text.replace("2.50", "9.99"))
    assert stores.get("default", "k") is None, "a result was changed"
    store.set("k", ["no", "text"])
    assert stores.get("default", "k") is None
    stores.forget({"default": ["k"], "gone": ["k"]})
    assert store.get("k") is None


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_what_somebody_else_puts_into_redis_is_never_unpickled(over_redis, tmp_path):
    with redis.Redis(unix_socket_path=over_redis.removeprefix("unix://")) as client:
        client.set(caches["default"].make_key("k"), pickle.dumps(Bomb(tmp_path / "touched")))
        with pytest.raises(stores.StoreAway):
            stores.get("default", "k")
        assert not (tmp_path / "touched").exists()
        stores._away.clear()
        stores.put("default", "k", "[1]", "an-execution", AT, 60)
        raw = client.get(caches["default"].make_key("k"))
        assert raw.startswith(b'"{\\"execution\\"')
        assert 0 < client.ttl(caches["default"].make_key("k")) <= 60


def test_a_redis_that_does_not_answer_is_asked_once_and_then_left_alone(tmp_path):
    """A socket that takes connections and says nothing: the worst that a store can do."""
    import socket

    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen(8)
        with override_settings(CACHES={"default": redis_cache(f"unix://{path}")}):
            began = time.monotonic()
            with pytest.raises(stores.StoreAway, match="Timeout"):
                stores.get("default", "k")
            waited = time.monotonic() - began
            for _ in range(100):
                with pytest.raises(stores.StoreAway):
                    stores.put("default", "k", "1", "an-execution", AT, 60)
            assert time.monotonic() - began < waited + 0.5 < 5


@pytest.mark.once
@pytest.mark.parametrize(
    ("entry", "usable"),
    [
        (TABLE, True),
        ({"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}, True),
        ({"BACKEND": "django.core.cache.backends.dummy.DummyCache"}, True),
        (redis_cache("redis://localhost"), True),
        ({"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://localhost"}, False),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "t"}, False),
        ({"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "/tmp/x"}, False),
        ({"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache"}, False),
    ],
    ids=lambda value: value["BACKEND"].rpartition(".")[2] if isinstance(value, dict) else "",
)
def test_a_store_that_unpickles_what_it_reads_cannot_be_used(entry, usable):
    with override_settings(CACHES={"default": TABLE, "mine": entry}):
        assert (cache_stores.unusable("mine") == "") is usable


@pytest.mark.once
def test_a_workflow_whose_store_there_is_not_is_refused_where_it_is_registered_or_started():
    flow = WorkflowBuilder("w").add_node("a", nothing, cache=CachePolicy(ttl=1, store="nowhere")).build()
    with pytest.raises(GraphError, match=r'Node "a" of workflow "w".*"nowhere".*default'):
        registry.register(flow)
    assert registry.get("w") is None


def test_many_threads_may_write_one_key(transactional_db):
    failed = []

    def write(number):
        try:
            caches["default"].set("k", number, 60)
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert caches["default"].get("k") in range(8)
