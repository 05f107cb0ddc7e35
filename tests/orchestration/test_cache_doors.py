"""The doors to the cache: who may look into it and invalidate it, and what each door shows of a result's origin."""

import io
import json
import uuid
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from guardian.shortcuts import assign_perm
from rest_framework.authtoken.models import Token

from orchestration import CachePolicy, WorkflowBuilder, executor, queries, registry
from orchestration.api.shapes import execution_detail, workflow_detail
from orchestration.caching import book, stores, upkeep
from orchestration.engine.decide import Result
from orchestration.engine.errors import InvalidOption, UnknownWorkflow
from orchestration.engine.states import Outcome
from orchestration.models import CacheCount, CacheEntry, CacheGeneration, Execution, Workflow
from orchestration.queries.caching import refreshes
from orchestration.store import clock
from orchestration.store.claim import claim
from orchestration.store.locked import Claimer
from orchestration.store.outcomes import Settled
from orchestration.store.settle import settle_alone
from orchestration.store.versions import version_of
from security.errors import Denied
from security.models import AuditRecord
from security.principals import Principal
from tests.factories import nothing, start_execution

pytestmark = pytest.mark.django_db
ME = Principal.system("tests")


@pytest.fixture(autouse=True)
def rates():
    """A workflow whose first node has a cache, with a tag, and whose second shares its with others."""
    flow = (
        WorkflowBuilder("rates")
        .add_node("fetch", nothing, cache=CachePolicy(ttl="1h", tags=["money"]))
        .add_node("parse", nothing, cache=CachePolicy(ttl="1h", scope="global"))
        .add_node("write", nothing)
        .build()
    )
    other = (
        WorkflowBuilder("other").add_node("parse", nothing, cache=CachePolicy(ttl=60, scope="global")).build()
    )
    for each in (flow, other):
        registry.register(each)
        version_of(each)
    yield flow
    for each in (flow, other):
        registry.forget(each.name)


def keep(flow, node, **options):
    """Put an entry into the book and its value into the store, and return its key."""
    key = f"igon7:result:{uuid.uuid4()}"
    at = clock.now()
    source = str(options.get("source") or uuid.uuid4())
    stores.put("default", key, "[1]", source, at.isoformat(), 3600)
    book.note_entry(key, flow.name, flow.graph.nodes[node], source, 3, at)
    return key


def hit(flow, by, source):
    """Start an execution and let its first node take over a result, and its others compute theirs."""
    execution = start_execution(flow, by)
    cached = {"execution": str(source), "at": clock.now().isoformat()}
    claimer = Claimer(uuid.uuid4(), 1, ("default",), "sync", 60.0)
    for held in claim(claimer, 10):
        more = {"cached": cached} if held.key.node == "fetch" else None
        settle_alone(Settled(held, Result(held.key, Outcome.SUCCEEDED, "[1]", duration=1.0, more=more)))
    return Execution.objects.get(pk=execution.pk)


def number(name):
    return CacheGeneration.objects.filter(name=name).values_list("number", flat=True).first() or 0


def api(user):
    return Client(headers={"Authorization": f"Token {Token.objects.get_or_create(user=user)[0].key}"})


def command(*line):
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command(*line, stdout=out, stderr=err)
    except SystemExit as exit:
        code = int(exit.code or 0)
    return code, out.getvalue(), err.getvalue()


# --- invalidating ----------------------------------------------------------------------------------


def test_a_workflow_is_invalidated_with_what_it_shares_and_with_an_audit_row(rates):
    keys = [keep(rates, "fetch"), keep(rates, "parse"), keep(registry.require("other"), "parse")]
    assert executor.invalidate_cache(principal=ME, workflow="rates", reason="new source") == 3
    assert [stores.get("default", key) for key in keys] == [None] * 3
    assert not CacheEntry.objects.exists()
    assert (number(book.of_workflow("rates")), number(book.of_body(rates.graph.nodes["parse"].body))) == (
        1,
        1,
    )
    record = AuditRecord.objects.get(action="cache.invalidate")
    assert record.details == {"entries": 3, "reason": "new source"}
    assert record.resource_name == "rates"


def test_a_node_is_invalidated_alone(rates):
    kept = keep(rates, "parse")
    keep(rates, "fetch")
    assert executor.invalidate_cache(principal=ME, workflow="rates", node="fetch") == 1
    assert stores.get("default", kept) is not None
    assert number(book.of_workflow("rates")) == 0


def test_a_tag_is_invalidated_for_every_workflow_that_has_it(rates):
    keep(rates, "fetch")
    kept = keep(rates, "parse")
    assert executor.invalidate_cache(principal=ME, tag="money") == 1
    assert number(book.of_tag("money")) == 1
    assert stores.get("default", kept) is not None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "workflow"),
        ({"workflow": "rates", "tag": "money"}, "workflow"),
        ({"tag": "money", "node": "fetch"}, "node"),
        ({"tag": "monney"}, "tag"),
        ({"workflow": "rates", "node": "fetsch"}, "fetch"),
        ({"workflow": "rates", "node": "write"}, "node"),
    ],
)
def test_what_names_nothing_is_refused_and_changes_nothing(given, said):
    with pytest.raises(InvalidOption, match=said):
        executor.invalidate_cache(principal=ME, **given)
    assert not CacheGeneration.objects.exists()


def test_who_may_only_look_may_not_invalidate_and_who_may_not_look_finds_nothing(rates, guest):
    as_guest = Principal.for_user(guest)
    keep(rates, "fetch")
    with pytest.raises(UnknownWorkflow):
        executor.invalidate_cache(principal=as_guest, workflow="rates")
    row = Workflow.objects.get(name="rates")
    assign_perm("orchestration.view_workflow", guest, row)
    for given in ({"workflow": "rates"}, {"tag": "money"}):
        with pytest.raises(Denied):
            executor.invalidate_cache(principal=as_guest, **given)
    assert AuditRecord.objects.filter(action="cache.invalidate", outcome="denied").count() == 2
    assert not CacheGeneration.objects.exists()
    assign_perm("orchestration.control_workflow", guest, row)
    assert executor.invalidate_cache(principal=as_guest, tag="money") == 1


def test_the_api_lists_and_invalidates(rates, alice, guest):
    keep(rates, "fetch")
    shown = api(alice).get("/api/v1/cache/?workflow=rates").json()["results"]
    assert [(each["node"], each["store"], each["size"], each["tags"]) for each in shown] == [
        ("fetch", "default", 3, ["money"])
    ]
    assert api(guest).get("/api/v1/cache/").json()["results"] == []
    told = {"workflow": "rates", "node": "fetch"}
    post = lambda who, data: api(who).post("/api/v1/cache/invalidate/", json.dumps(data), "application/json")  # noqa: E731
    assert post(guest, told).status_code == 404
    assert post(alice, {}).status_code == 400
    assert post(alice, told).json() == {"invalidated": 1}
    assert Client().post("/api/v1/cache/invalidate/", "{}", "application/json").status_code == 401


def test_the_command_lists_and_invalidates(rates):
    source = uuid.uuid4()
    keep(rates, "fetch", source=source)
    code, out, _ = command("cache", "list", "--workflow", "rates")
    assert code == 0
    assert str(source) in out
    assert json.loads(command("cache", "list", "--json")[1])["execution"] == str(source)
    assert command("cache", "invalidate", "--tag", "money")[1] == "1 cached result is invalid now.\n"
    code, _, err = command("cache", "invalidate", "--workflow", "rates", "--node", "nope")
    assert code == 2
    assert "fetch" in err or "with a cache" in err


def test_the_console_shows_the_cache_and_invalidates_it(rates, console, guest):
    book.count("rates", "fetch", hit=True)
    book.count("rates", "fetch", hit=False)
    keep(rates, "fetch")
    page = console.get("/workflows/rates/").content.decode()
    assert "50 %" in page
    assert 'action="/workflows/rates/cache/invalidate/"' in page
    response = console.post("/workflows/rates/cache/invalidate/", {"node": "fetch"}, follow=True)
    assert "1 cached result is invalid now." in response.content.decode()
    assert console.get("/workflows/rates/cache/invalidate/").status_code == 405
    refused = console.post("/workflows/rates/cache/invalidate/", {"node": "nope"}, follow=True)
    assert "with a cache" in refused.content.decode()
    assign_perm("orchestration.view_workflow", guest, Workflow.objects.get(name="rates"))
    theirs = Client()
    theirs.force_login(guest)
    assert "/cache/invalidate/" not in theirs.get("/workflows/rates/").content.decode()
    assert theirs.post("/workflows/rates/cache/invalidate/").status_code == 403


# --- refreshing ------------------------------------------------------------------------------------


def test_every_door_starts_with_refresh_and_the_log_says_so(rates, alice, console):
    told = {"workflow": "rates", "refresh": True}
    id = api(alice).post("/api/v1/executions/", json.dumps(told), "application/json").json()["id"]
    assert refreshes(uuid.UUID(id))
    assert execution_detail(ME, queries.execution(ME, id))["refresh"] is True
    command("run", "rates", "--refresh")
    console.post("/workflows/rates/start/", {"input": "", "priority": "3", "tags": "", "refresh": "on"})
    newest = list(Execution.objects.order_by("-id").values_list("pk", flat=True)[:2])
    assert [refreshes(each) for each in newest] == [True, True]
    assert 'name="refresh"' in console.get("/workflows/rates/").content.decode()
    details = AuditRecord.objects.filter(action="workflow.run").values_list("details", flat=True)
    assert all(each["refresh"] is True for each in details)


def test_a_rerun_takes_from_the_cache_again(rates):
    first = executor.start(rates, principal=ME, refresh=True)
    executor.terminate(first, principal=ME)
    assert not refreshes(executor.rerun(first, principal=ME))
    with pytest.raises(InvalidOption, match="refresh"):
        executor.start(rates, principal=ME, refresh="yes")  # type: ignore[arg-type]


# --- what is shown ---------------------------------------------------------------------------------


def test_every_door_shows_where_a_result_came_from(rates, alice, console):
    source = start_execution(rates, alice)
    execution = hit(rates, alice, source.pk)
    fetch, parse, _ = execution_detail(Principal.for_user(alice), execution)["nodes"]
    assert fetch["cached"]["execution"] == str(source.pk)
    assert parse["cached"] is None
    said = f"From the cache: the result of execution {source.pk}."
    assert fetch["why"] == said
    assert said in command("show", str(execution.pk))[1]
    page = console.get(f"/executions/{execution.pk}/?node=fetch&view=nodes").content.decode()
    assert said in page
    assert f'href="/executions/{source.pk}/?node=fetch"' in page
    gone = hit(rates, alice, uuid.uuid4())
    assert 'node=fetch">Show it' not in console.get(f"/executions/{gone.pk}/?node=fetch").content.decode()


def test_a_graph_without_a_cache_asks_nothing_more(etl, alice, django_assert_num_queries):
    execution = start_execution(etl, alice)
    graph = execution.version
    from orchestration.store.versions import graph_of

    plain = graph_of(graph.pk)
    with django_assert_num_queries(0):
        assert queries.sources(execution, plain) == {}
        assert queries.caching.awaited(execution, plain) == {}


def test_the_hit_rate_is_that_of_a_window(rates):
    assert queries.cache_hit_rate(timedelta(minutes=5)) is None
    for number in range(4):
        book.count("rates", "fetch", hit=number > 0)
    book.count("other", "parse", hit=False)
    assert queries.cache_hit_rate(timedelta(minutes=5), "rates") == 0.75
    assert queries.cache_hit_rate(timedelta(minutes=5)) == 0.6
    CacheCount.objects.update(minute=timezone.now() - timedelta(hours=1))
    assert queries.cache_hit_rate(timedelta(minutes=5)) is None
    use = workflow_detail(Workflow.objects.select_related("current").get(name="rates"))["cache"]
    assert [(each["node"], each["hits"], each["misses"], each["hit_rate"]) for each in use] == [
        ("fetch", 3, 1, 0.75),
        ("parse", 0, 0, None),
    ]


def test_what_is_old_is_forgotten(rates):
    keep(rates, "fetch")
    book.count("rates", "fetch", hit=True)
    with clock.ahead(7200):
        upkeep.tidy()
    assert not CacheEntry.objects.exists()
    assert CacheCount.objects.exists()
    with clock.ahead(31 * 24 * 3600):
        upkeep.tidy()
    assert not CacheCount.objects.exists()
