"""The admin shows every row and changes none."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from orchestration import CachePolicy, WorkflowBuilder, bulk, models
from orchestration.caching import book, flights, stores
from orchestration.engine.parking import Wait
from orchestration.engine.view import Key
from orchestration.models import Execution
from orchestration.store import clock, signals, state, versions
from orchestration.store.claim import Claim
from orchestration.store.start import start
from security.principals import Principal
from tests import factories
from tests.factories import Act, make_workflow, nothing, park, play, start_execution, worker_node

from .store_helpers import order

pytestmark = pytest.mark.django_db

GRANTS = (models.TagGrant, models.WorkflowGroupPermission, models.WorkflowUserPermission)  # these are edited
MODELS = [each for name in models.__all__ if (each := getattr(models, name)) not in GRANTS]
# What the policy script-src 'self'; style-src 'self' would block.
INLINE = re.compile(
    rb"""\sstyle=|\son\w+="|<style|javascript:|<script(?![^>]*\ssrc=)(?![^>]*type="application/json")"""
)


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture(autouse=True)
def rows() -> Iterator[Execution]:
    script = {"extract": Act(lines=[("info", "<b>hello</b>")], files={"a.txt": ("text/plain", b"1")})}
    script |= {"load": Act(error=("ValueError", "<script>alert(1)</script>"))}
    execution = play(start_execution(make_workflow(), ago=60, input={"day": 3}), script, worker=worker_node())
    me, these = Principal.system("tests"), bulk.Selection.of_ids([execution.pk])
    bulk.start(me, "retry", these, confirm="retry 1", reason="<b>hello</b>")
    waits = [Wait(f"{name}#1", "signal", name) for name in ("go", "later")]
    parked = park(make_workflow("waiting", {"work": ()}), *waits)
    signals.send([signals.Message(parked.pk, "go", '"<b>hello</b>"', "<script>alert(1)</script>")])
    _cache_something(execution)
    _start_a_child(parked)
    _send_an_event(execution)
    yield execution
    versions.forget_versions()


def _cache_something(execution: Execution) -> None:
    flow = (
        WorkflowBuilder("etl")
        .add_node("extract", nothing, cache=CachePolicy(ttl=60, tags=["<b>hello</b>"]))
        .build()
    )
    book.note_entry("key", "etl", flow.graph.nodes["extract"], str(execution.pk), 1, clock.now())
    book.count("etl", "extract", hit=True)
    book.raise_generations([book.of_tag("<b>hello</b>")])
    stores.put("default", "key", "[1]", str(execution.pk), clock.now().isoformat(), 60)
    run = execution.nodes.get(node="extract")
    asked = state.Change("set", state.Place("workflow", "etl", "x"), state.Writer("alice"), '"<b>hello</b>"')
    state.change(connection, asked)
    held = Claim(run.pk, execution.pk, execution.version_id, Key("extract"), 1, run.fence)
    models.MapItem.objects.create(node_run=run, fence=1, index=0, value="<b>hello</b>")
    flights.take("key", held)
    flights.wait("key", held)


def _start_a_child(parent: Execution) -> None:
    run = parent.nodes.get(node="work")
    [child] = start(versions.version_of(make_workflow("child")), [order()])
    at, about = clock.now(), {"reason": "<b>hello</b>"}
    models.Child.objects.create(
        execution_id=child.id, parent=parent, node_run=run, key="<b>hello</b>#1", place=0, depth=1,
        awaited=True, on_close="cancel", output="<script>alert(1)</script>",
    )  # fmt: skip
    models.Delivery.objects.create(target=child.id, kind="cancel", source=parent.pk, about=about, at=at)


def _send_an_event(execution: Execution) -> None:
    about = {
        "source": "<b>hello</b>",
        "sent_id": "1",
        "sender": "<script>alert(1)</script>",
        "data": "<b>hello</b>",
    }
    event = models.Event.objects.create(name="<b>hello</b>", accepted_at=clock.now(), **about)
    workflow, why = execution.workflow, "<b>hello</b>"
    models.Receipt.objects.create(event=event, outcome="not", workflow=workflow, why=why, at=clock.now())
    models.Trigger.objects.create(workflow=workflow, event="<b>hello</b>", filter="<b>hello</b>")


def url(model: Any, what: str, *key: Any) -> str:
    return reverse(f"admin:orchestration_{model._meta.model_name}_{what}", args=key)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_listed_and_shown_without_inline_script_or_style(client: Client, model: Any) -> None:
    row = model._default_manager.order_by("-pk").first()
    for address in (url(model, "changelist"), url(model, "change", row.pk)):
        response = client.get(address)
        assert response.status_code == 200, address
        assert not INLINE.search(response.content), address
        assert b"<script>alert" not in response.content
        assert b"<b>hello" not in response.content
        assert b'name="_save"' not in response.content


@pytest.mark.parametrize("model", MODELS)
def test_nothing_can_be_added_changed_or_deleted_even_by_a_superuser(client: Client, model: Any) -> None:
    factories.verify(client)
    row = model._default_manager.order_by("-pk").first()
    before = model._default_manager.filter(pk=row.pk).values().get()
    assert client.post(url(model, "add"), {}).status_code == 403
    assert client.post(url(model, "change", row.pk), {"status": "running"}).status_code == 403
    assert client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    client.post(
        url(model, "changelist"),
        {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"},
    )
    assert model._default_manager.filter(pk=row.pk).values().get() == before
    assert not admin.site._registry[model].get_actions(client.get(url(model, "changelist")).wsgi_request)


def test_search_takes_an_id_and_answers_anything_else_with_nothing(client: Client, rows: Execution) -> None:
    other = start_execution(make_workflow())
    for model in (models.Execution, models.NodeRun, models.ExecutionEvent, models.LogLine, models.Artifact):
        found = client.get(url(model, "changelist"), {"q": str(rows.id)}).content.decode()
        assert str(rows.id) in found
        assert str(other.id) not in found
        for nonsense in ("x' OR 1=1", "\0", "zz"):
            assert client.get(url(model, "changelist"), {"q": nonsense}).status_code == 200


def test_an_execution_leads_to_its_rows_and_its_page(client: Client, rows: Execution) -> None:
    shown = client.get(url(Execution, "change", rows.pk)).content.decode()
    assert f'href="{reverse("execution", args=[rows.pk])}"' in shown
    for model in (models.NodeRun, models.ExecutionEvent, models.LogLine, models.Signal):
        address = f"{url(model, 'changelist')}?execution__id__exact={rows.pk}"
        assert f'href="{address}"' in shown
        assert client.get(address).status_code == 200


def test_a_list_of_fifty_asks_the_database_as_often_as_a_list_of_one(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    client.get("/admin/")  # once a session is known, nothing more is written of it for a while
    counts = []
    for more in (0, 49):
        for _ in range(more):
            start_execution(make_workflow())
        with django_assert_max_num_queries(10) as asked:
            client.get(url(Execution, "changelist"))
        counts.append(len(asked))
    assert counts[0] == counts[1]
