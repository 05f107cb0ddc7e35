"""The console's pages about events, and what starts a workflow."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client
from guardian.shortcuts import assign_perm

from orchestration import executor, registry
from orchestration.engine.parking import Wait
from orchestration.models import Event, Execution, Trigger
from orchestration.store import versions
from security.principals import Principal
from tests import event_workflows_for_tests as samples
from tests.factories import park, person
from tests.workflows_for_tests import quick, single

pytestmark = pytest.mark.django_db
ME = Principal.system("test")


@pytest.fixture
def listener() -> Any:
    registry.register(samples.listener)
    versions.version_of(samples.listener)
    yield Trigger.objects.get().workflow
    registry.forget("e-listener")


def text(response: Any) -> str:
    """Return what a reader sees."""
    plain = re.sub(r"<[^>]+>", " ", response.content.decode())
    return " ".join(html.unescape(plain).split())


def emit(name: str, data: Any = None) -> Event:
    accepted = executor.emit_event(name, data, principal=ME)
    executor.deliver_events()
    return Event.objects.get(pk=accepted.id)


def test_the_list_says_what_became_of_each_event(console: Client, listener: Any) -> None:
    assert "No events yet" in text(console.get("/events/"))
    executor.enable_trigger("e-listener", "data-processed", principal=ME)
    emit("data-processed", {"amount": 200, "country": "FR"})
    emit("data-processed", {"amount": 2})
    emit("unheard")
    shown = text(console.get("/events/"))
    assert "started 1 execution" in shown
    assert "no trigger let it through" in shown
    assert "nobody listened" in shown
    part = console.get("/events/?fate=started", headers={"HX-Request": "true", "HX-Target": "list"})
    assert text(part).count("data-processed") == 1
    assert "<nav" not in part.content.decode()
    assert console.get("/events/?fate=eaten").status_code == 400


def test_the_page_of_an_event_says_whom_it_reached_and_why_not_others(console: Client, listener: Any) -> None:
    parked = park(single("waits", quick), Wait("paid#1", "event", "paid", about='{"match": "order == 7"}'))
    other = emit("paid", {"order": 8})
    page = console.get(f"/events/{other.pk}/")
    assert f"/executions/{parked.pk}/" in page.content.decode()
    assert "order == 7 was false (order is 8)" in text(page)
    assert "Woken" in text(console.get(f"/events/{emit('paid', {'order': 7}).pk}/"))
    refused = emit("data-processed", {"amount": 1})
    assert "The trigger is not enabled." in text(console.get(f"/events/{refused.pk}/"))
    assert "Nobody listened" in text(console.get(f"/events/{emit('unheard').pk}/"))
    hostile = emit("<script>alert(1)</script>", {"<b>": "<i>"})
    assert "<script>alert" not in console.get(f"/events/{hostile.pk}/").content.decode()


def test_an_event_is_sent_by_a_form_that_says_what_is_wrong(console: Client) -> None:
    assert 'value="paid"' in console.get("/events/emit/?name=paid").content.decode()
    wrong = console.post("/events/emit/", {"name": "paid", "data": "{"})
    assert (wrong.status_code, "This is not JSON" in text(wrong)) == (400, True)
    answer = console.post("/events/emit/", {"name": "paid", "data": '{"n": 1}', "id": "7"})
    event = Event.objects.get()
    assert (answer["Location"], event.data, event.sender) == (f"/events/{event.pk}/", {"n": 1}, "alice")
    again = console.post("/events/emit/", {"name": "paid", "id": "7"}, follow=True)
    assert "had been sent before" in text(again)
    assert '"n": 1' in html.unescape(console.get(f"/events/emit/?like={event.pk}").content.decode())


def test_who_may_not_see_or_send_events_does_neither(client: Client, guest: Any, listener: Any) -> None:
    event = emit("data-processed", {"amount": 1})
    client.force_login(guest)
    assert "No events yet" in text(client.get("/events/"))
    assert client.get(f"/events/{event.pk}/").status_code == 404
    assert client.get("/events/emit/").status_code == 403
    assert client.post("/events/emit/", {"name": "x"}).status_code == 403
    assign_perm("view_workflow", guest, listener)
    assert client.post("/workflows/e-listener/trigger/", {"event": "data-processed"}).status_code == 403
    assert not Trigger.objects.filter(enabled=True).exists()


def test_the_page_of_a_workflow_enables_and_disables_its_triggers(console: Client, listener: Any) -> None:
    shown = text(console.get("/workflows/e-listener/"))
    assert 'amount > 100 and country in ["FR", "DE"] and not test' in shown
    assert "Not enabled" in shown
    there = "/workflows/e-listener/trigger/"
    answer = console.post(there, {"event": "data-processed", "do": "enable"}, follow=True)
    assert "starts “e-listener”" in text(answer)
    assert Trigger.objects.get().owner.get_username() == "alice"  # type: ignore[union-attr]
    person("bob")
    console.post(there, {"event": "data-processed", "do": "enable", "owner": "bob"})
    assert Trigger.objects.get().owner.get_username() == "bob"  # type: ignore[union-attr]
    assert "an active person" in text(
        console.post(there, {"event": "data-processed", "owner": "eve"}, follow=True)
    )
    console.post(there, {"event": "data-processed", "do": "disable"})
    assert not Trigger.objects.get().enabled


def test_the_page_of_an_execution_says_which_event_has_started_it(console: Client, listener: Any) -> None:
    executor.enable_trigger("e-listener", "data-processed", principal=ME)
    event = emit("data-processed", {"amount": 200, "country": "FR"})
    execution = Execution.objects.get(workflow=listener)
    page = console.get(f"/executions/{execution.pk}/")
    assert f"/events/{event.pk}/" in page.content.decode()
    assert "Started by data-processed" in text(page)
