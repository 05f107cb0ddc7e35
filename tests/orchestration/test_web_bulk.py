"""The console's pages about bulk acts."""

from __future__ import annotations

import html
import re
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings
from guardian.shortcuts import assign_perm

from orchestration import bulk, executor
from orchestration.engine.builder import Workflow
from orchestration.models import BulkAct, Execution, Signal
from orchestration.models import Workflow as WorkflowRow
from security.models import AuditRecord
from security.principals import Principal
from tests.factories import make_workflow, play, start_execution

ME = Principal.system("tests")


def text(response: Any) -> str:
    """Return what a reader sees."""
    plain = re.sub(r"<[^>]+>", " ", response.content.decode())
    return " ".join(html.unescape(plain).split())


def hidden(response: Any, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', response.content.decode())
    assert found
    return html.unescape(found[1])


@pytest.mark.django_db(transaction=True)
def test_from_the_list_to_the_refused_ones(console: Client, etl: Workflow) -> None:
    found = [start_execution(etl) for _ in range(3)]
    play(start_execution(etl))
    listed = console.get("/executions/?workflow=etl")
    assert f'form="bulk" name="id" value="{found[0].pk}"' in listed.content.decode()
    assert hidden(listed, "query") == "workflow=etl"
    seen = console.get("/bulk/", {"verb": "pause", "all": "1", "query": "workflow=etl"})
    assert "Pause 3 executions?" in text(seen)
    assert "1 It is succeeded, so it cannot be paused." in text(seen)
    late = start_execution(etl)
    told = {"verb": "pause", "selection": hidden(seen, "selection"), "reason": "lunch"}
    refused = console.post("/bulk/", told | {"confirm": "pause 4"})
    assert refused.status_code == 409
    assert 'There are 3 executions to pause now. Confirm with "pause 3".' in text(refused)
    assert 'value="lunch"' in refused.content.decode()
    assert not BulkAct.objects.exists()
    executor.terminate(found[0].pk, principal=ME)
    response = console.post("/bulk/", told | {"confirm": "pause 3"})
    page = response["Location"]
    assert re.fullmatch(r"/bulk/[0-9a-f-]{36}/", page)
    assert 'hx-trigger="every 1s"' in console.get(page).content.decode()
    with override_settings(IGON7_BULK_RATE=10_000):
        while BulkAct.objects.get().status == "running":
            bulk.carry_out()
    part = console.get(page, headers={"HX-Request": "true", "HX-Target": "progress"})
    assert "<html" not in part.content.decode()
    assert "hx-trigger" not in part.content.decode()
    assert "Finished" in text(part)
    assert "Done 2 Refused 1 To go 0" in text(part)
    assert "It is terminated, so it cannot be paused." in text(part)
    assert Execution.objects.get(pk=late.pk).status == "running"
    these = console.get("/executions/", {"bulk": page.split("/")[2]}).content.decode()
    assert [str(each.pk) in these for each in (*found, late)] == [True, True, True, False]


@pytest.mark.django_db(transaction=True)
def test_ticked_executions_are_the_selection_and_a_stop_leaves_the_rest(
    console: Client, etl: Workflow
) -> None:
    found = [start_execution(etl) for _ in range(3)]
    seen = console.get(
        "/bulk/", {"verb": "cancel", "id": [str(each.pk) for each in found[:2]], "query": "a=1"}
    )
    assert "Cancel 2 executions?" in text(seen)
    told = {"verb": "cancel", "selection": hidden(seen, "selection"), "confirm": "cancel 2"}
    page = console.post("/bulk/", told)["Location"]
    assert console.get(f"{page}stop/").status_code == 405
    assert console.post(f"{page}stop/")["Location"] == page
    assert "Stopped" in text(console.get(page))
    assert "Not touched 2" in text(console.get(page))
    again = console.post(f"{page}stop/")
    assert again.status_code == 409
    assert "is stopped, so it cannot be stopped" in text(again)


@pytest.mark.django_db(transaction=True)
def test_a_fork_asks_from_which_node_before_it_counts(console: Client, etl: Workflow) -> None:
    query = {"verb": "fork", "id": [str(play(start_execution(etl, input={"day": n})).pk) for n in range(2)]}
    asked = console.get("/bulk/", query)
    assert "From which node?" in text(asked)
    assert '<option value="transform">' in asked.content.decode()
    assert asked.content.decode().count('type="hidden" name="id"') == 2
    assert "There is nothing to do" in text(console.get("/bulk/", query | {"option.node": "lod"}))
    seen = console.get("/bulk/", query | {"option.node": "load"})
    assert "Fork 2 executions?" in text(seen)
    told = {"verb": "fork", "selection": hidden(seen, "selection"), "confirm": "fork 2"}
    told["option.node"] = hidden(seen, "option.node")
    refused = console.post("/bulk/", told | {"option.input": "{"})
    assert refused.status_code == 400
    assert "must be JSON" in text(refused)
    assert hidden(refused, "option.node") == "load"
    page = console.post("/bulk/", told | {"option.input": '{"day": 9}'})["Location"]
    with override_settings(IGON7_BULK_RATE=10_000):
        while BulkAct.objects.get().status == "running":
            bulk.carry_out()
    assert "Done 2 Refused 0" in text(console.get(page))
    assert 'Node load Input { "day" : 9 }' in text(console.get(page))
    assert [each.input for each in Execution.objects.exclude(forked_from=None)] == [{"day": 9}] * 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"verb": "cancel"}, 200, "There is nothing to do"),
        ({"verb": "cancel", "id": "x"}, 400, "ids of executions"),
        ({"verb": "cancel", "all": "1", "query": "status=done"}, 400, "must be one of queued"),
        ({"verb": "explode", "all": "1"}, 404, ""),
    ],
)
def test_a_dry_run_of_nothing_or_of_nonsense_says_so(
    console: Client, query: dict[str, str], status: int, said: str
) -> None:
    response = console.get("/bulk/", query)
    assert response.status_code == status
    assert said in text(response)


@pytest.mark.django_db
def test_the_list_says_how_many_match(console: Client, etl: Workflow) -> None:
    for _ in range(4):
        start_execution(etl)
    assert console.get("/bulk/count/?status=running").content == b"4"
    with override_settings(IGON7_BULK_LIMIT=3):
        assert console.get("/bulk/count/").content == b"more than 3"
        assert "more than 3 executions" in text(console.get("/bulk/?verb=cancel&all=1"))
    assert console.get("/bulk/count/?status=done").status_code == 400


@pytest.mark.django_db
def test_bulk_acts_are_listed_newest_first_to_whom_they_concern(
    console: Client, alice: User, guest: User, etl: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.web.views.bulk_acts.PAGE", 2)
    assert "No bulk acts yet" in text(console.get("/bulk/"))
    start_execution(etl)
    for right in ("view_workflow", "control_workflow"):
        assign_perm(right, guest, WorkflowRow.objects.get())
    for by, reason in ((alice, "first"), (guest, "second"), (alice, "third")):
        me, every = Principal.for_user(by), bulk.Selection.of_query({})
        bulk.start(me, "pause", every, confirm="pause 1", reason=reason)
        time.sleep(0.002)  # their keys tell the millisecond
    first = console.get("/bulk/")
    said = text(first)
    assert said.index("Pause 1 execution third alice") < said.index("Pause 1 execution second")
    assert 'hx-trigger="every 3s"' in first.content.decode()
    older = re.search(r'href="(\?after=[^"]+)"', first.content.decode())
    assert older
    assert "Pause 1 execution first alice 0 done" in text(console.get(f"/bulk/{older[1]}"))
    own = Client()
    own.force_login(guest)
    part = own.get("/bulk/", headers={"HX-Request": "true", "HX-Target": "list"})
    assert "<html" not in part.content.decode()
    assert [word in text(part) for word in ("first", "second", "third")] == [False, True, False]
    assert own.get("/bulk/?after=x").status_code == 400


@pytest.mark.django_db
def test_other_peoples_bulk_acts_are_not_found(console: Client, guest: User, etl: Workflow) -> None:
    start_execution(etl)
    seen = console.get("/bulk/?verb=cancel&all=1")
    told = {"verb": "cancel", "selection": hidden(seen, "selection"), "confirm": "cancel 1"}
    page = console.post("/bulk/", told)["Location"]
    other = Client()
    other.force_login(guest)
    assert other.get(page).status_code == 404
    assert other.post(f"{page}stop/").status_code == 404
    assert other.post("/bulk/", told).status_code == 400  # a dry run of somebody else's
    assert Client().get(page)["Location"].startswith("/login/")


@pytest.mark.django_db(transaction=True)
def test_a_signal_is_sent_to_each_of_a_selection_once(console: Client) -> None:
    flow = make_workflow("orders", {"work": ()}, signals={"paid": {"type": "integer", "minimum": 1}})
    found = [start_execution(flow) for _ in range(2)]
    play(start_execution(flow))
    asked = console.get("/bulk/", {"verb": "signal", "all": "1", "query": "workflow=orders"})
    assert "Which signal?" in text(asked)
    assert '<option value="paid">' in asked.content.decode()
    asking = {"verb": "signal", "all": "1", "query": "workflow=orders", "option.name": "paid"}
    seen = console.get("/bulk/", asking)
    assert "Signal 2 executions?" in text(seen)
    assert "1 It is succeeded, so it cannot be sent a signal." in text(seen)
    told = {
        "verb": "signal",
        "selection": hidden(seen, "selection"),
        "confirm": "signal 2",
        "option.name": "paid",
    }
    told |= {"reason": "by the bank", "option.id": "march"}
    assert 'type="number" name="input"' in seen.content.decode()
    refused = console.post("/bulk/", told | {"input": "0"})
    assert refused.status_code == 400
    assert "greater than or equal to 1" in text(refused)
    assert not BulkAct.objects.exists()
    response = console.post("/bulk/", told | {"input": "7"})
    with override_settings(IGON7_BULK_RATE=10_000):
        while BulkAct.objects.get().status == "running":
            bulk.carry_out()
    sent = Signal.objects.order_by("execution")
    assert [(each.execution_id, each.payload, each.sent_id) for each in sent] == [
        (each.pk, 7, "march") for each in found
    ]
    kept = AuditRecord.objects.filter(action="execution.signal").values_list("details", flat=True)
    assert [(each["reason"], "bulk" in each) for each in kept] == [("by the bank", True)] * 2
    assert "paid" in text(console.get(response["Location"]))


@pytest.mark.django_db
def test_where_versions_declare_different_schemas_the_payload_is_json_and_fits_all(console: Client) -> None:
    for kind in ("integer", "string"):
        start_execution(make_workflow("orders", {"work": ()}, signals={"paid": {"type": kind}}))
    seen = console.get("/bulk/", {"verb": "signal", "all": "1", "query": "", "option.name": "paid"})
    assert '<textarea name="input"' in seen.content.decode()
    told = {
        "verb": "signal",
        "selection": hidden(seen, "selection"),
        "confirm": "signal 2",
        "option.name": "paid",
    }
    for payload in ("7", '"seven"'):
        refused = console.post("/bulk/", told | {"input": payload})
        assert refused.status_code == 400
        assert "is not of type" in text(refused)
    assert not BulkAct.objects.exists()
