"""The doors to shared state: who may look and change, and that nothing unseen is overwritten."""

from __future__ import annotations

import io
import json

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import connection
from django.test import Client
from guardian.shortcuts import assign_perm
from rest_framework.authtoken.models import Token

from orchestration import executor
from orchestration.engine.errors import StateChanged, UnknownState
from orchestration.models import Workflow
from orchestration.store import state
from orchestration.store.state import Change, Place, Writer
from security.models import AuditRecord
from security.principals import Principal
from tests.factories import make_workflow, start_execution

pytestmark = pytest.mark.django_db
ME = Principal.system("tests")


def keep(place, text="1", **options):
    state.change(connection, Change("set", place, Writer(**options), text))


def value_of(key):
    found = state.find(Place("global", "", key))
    return found.value if found is not None else None


@pytest.fixture
def execution():
    """An execution of etl, with a value in each scope."""
    found = start_execution(make_workflow())
    keep(Place.of_execution(found.id, "own"), '{"a": [1]}', execution=found.id, node="extract")
    keep(Place("workflow", "etl", "shared"), '"<b>text"', execution=found.id, node="load")
    keep(Place("global", "", "all"), "7", person="alice")
    return found


# --- the executor ------------------------------------------------------------------------------------


def test_a_change_by_hand_is_audited_and_refused_where_somebody_was_faster(execution):
    assert executor.set_state("own", 2, execution=execution.id, version=1, principal=ME, reason="wrong") == 2
    record = AuditRecord.objects.get(action="state.set")
    assert record.details == {"key": "own", "version": 2, "reason": "wrong"}
    assert record.resource_id == str(execution.pk)
    with pytest.raises(StateChanged, match='The state "own" is at version 2 now, and was to be at version 1'):
        executor.set_state("own", 3, execution=execution.id, version=1, principal=ME)
    with pytest.raises(StateChanged, match="was to be at version 0"):
        executor.set_state("shared", 3, workflow="etl", version=0, principal=ME)
    with pytest.raises(StateChanged, match="is at version 1 now"):
        executor.delete_state("all", version=9, principal=ME)
    executor.delete_state("all", version=1, principal=ME)
    with pytest.raises(StateChanged, match="is not there any more"):
        executor.set_state("all", 3, version=1, principal=ME)
    with pytest.raises(UnknownState, match=r'There is no state "all" that all share\.'):
        executor.delete_state("all", principal=ME)
    assert AuditRecord.objects.filter(action__startswith="state.").count() == 2


# --- the API -----------------------------------------------------------------------------------------


def api(user):
    token = Token.objects.get_or_create(user=user)[0].key
    return Client(headers={"Authorization": f"Token {token}"})


def post(client, address, **body):
    return client.post(f"/api/v1/state/{address}/", json.dumps(body), content_type="application/json")


def test_the_api_lists_reads_sets_and_deletes(execution, alice):
    client = api(alice)
    for number in range(3):
        assert post(client, "set", key=f"n{number}", value=[number], workflow="etl").json() == {"version": 1}
    page = client.get("/api/v1/state/?workflow=etl&limit=2&search=n").json()
    assert [row["key"] for row in page["results"]] == ["n0", "n1"]
    assert [row["key"] for row in client.get(page["next"]).json()["results"]] == ["n2"]
    assert page["results"][0]["preview"] == "[0]"
    assert "value" not in page["results"][0]
    one = client.get(f"/api/v1/state/value/?execution={execution.pk}&key=own").json()
    assert (one["value"], one["version"], one["scope"]) == ({"a": [1]}, 1, "execution")
    assert one["changed_by"] == {"person": None, "execution": str(execution.pk), "node": "extract"}
    assert post(client, "delete", key="all", version=2).status_code == 409
    assert post(client, "delete", key="all", version=1, reason="old").json() == {"deleted": True}
    assert post(client, "delete", key="all").json()["error"]["code"] == "unknown_state"
    assert post(client, "set", key="é", value=1).json()["error"]["code"] == "invalid_option"
    assert post(client, "set", key="x", value=1, ttl="soon").status_code == 400
    assert post(client, "set", key="x").json()["error"]["errors"][0]["path"] == "/value"
    assert post(client, "set", key="x", value=1, ttl="1h").status_code == 200
    assert client.get("/api/v1/state/value/?key=x").json()["expires_at"] is not None
    assert client.get("/api/v1/state/?workflow=etl&execution=1").status_code == 400


def test_who_may_not_view_finds_nothing_and_who_may_not_change_changes_nothing(execution, guest):
    client, etl = api(guest), Workflow.objects.get(name="etl")
    for query in ("workflow=etl", f"execution={execution.pk}"):
        assert client.get(f"/api/v1/state/?{query}").status_code == 404
    assert client.get("/api/v1/state/").status_code == 403
    assert post(client, "set", key="x", value=1, workflow="etl").status_code == 404
    assign_perm("view_workflow", guest, etl)
    assert client.get("/api/v1/state/?workflow=etl").status_code == 200
    assert post(client, "set", key="x", value=1, workflow="etl").status_code == 403
    assert post(client, "delete", key="own", execution=str(execution.pk)).status_code == 403
    assign_perm("control_workflow", guest, etl)
    assert post(client, "set", key="x", value=1, workflow="etl").status_code == 200
    assert post(client, "set", key="x", value=1, execution=str(execution.pk)).status_code == 200
    assert post(client, "set", key="x", value=1).status_code == 403
    guest.user_permissions.add(Permission.objects.get(codename="view_stateentry"))
    assert client.get("/api/v1/state/").status_code == 200
    assert post(client, "set", key="x", value=1).status_code == 403
    guest.user_permissions.add(Permission.objects.get(codename="change_stateentry"))
    assert post(client, "set", key="x", value=1).status_code == 200
    assert Client().get("/api/v1/state/").status_code == 401


def test_who_changed_what_all_share_is_not_named_to_whom_may_not_view_it(execution, guest):
    keep(Place("global", "", "secretly"), execution=execution.id, node="secret-node")
    guest.user_permissions.add(Permission.objects.get(codename="view_stateentry"))
    said = api(guest).get("/api/v1/state/value/?key=secretly").content.decode()
    assert "secret-node" not in said
    assert str(execution.pk) not in said


# --- the command line ----------------------------------------------------------------------------------


def shell(*words):
    out = io.StringIO()
    call_command("state", *words, stdout=out)
    return out.getvalue()


def test_the_command_line_does_the_same(execution):
    assert shell("set", "n", '{"a": 1}', "--workflow", "etl", "--ttl", "1h") == "It is at version 1 now.\n"
    assert json.loads(shell("get", "n", "--workflow", "etl")) == {"a": 1}
    assert json.loads(shell("get", "own", "--execution", str(execution.pk)[:18], "--json"))["version"] == 1
    assert [line.split()[0] for line in shell("list", "--workflow", "etl").splitlines()] == [
        "Key",
        "n",
        "shared",
    ]
    assert [json.loads(line)["key"] for line in shell("list", "--json").splitlines()] == ["all"]
    assert (
        shell("delete", "n", "--workflow", "etl", "--version", "1", "--reason", "old") == "It is deleted.\n"
    )
    with pytest.raises(SystemExit):
        shell("get", "n", "--workflow", "etl")


# --- the console -----------------------------------------------------------------------------------------


def test_the_pages_show_each_scope_escape_values_and_lead_to_the_writer(console, execution):
    for query, key, says in (
        ("", "all", "What all workflows share."),
        ("?workflow=etl", "shared", "What all executions of this workflow share."),
        (f"?execution={execution.pk}", "own", "It is deleted with the execution."),
    ):
        page = console.get(f"/state/{query}").content.decode()
        assert says in page
        assert key in page
        assert "<b>text" not in page
        address = f"/state/value/{query or '?'}&key={key}".replace("?&", "?")
        page = console.get(address).content.decode()
        assert "version" in page.lower()
        assert "<b>text" not in page
    assert f'href="/executions/{execution.pk}/?node=extract"' in page
    overview = console.get(f"/executions/{execution.pk}/?node=").content.decode()
    assert f"/state/?execution={execution.pk}" in overview


def test_a_value_is_set_changed_and_deleted_by_its_forms(console):
    made = console.post("/state/set/", {"key": "x", "value": "[1]", "version": "0", "ttl": "2h"}, follow=True)
    assert made.redirect_chain == [("/state/value/?key=x", 302)]
    assert "“x” is set." in made.content.decode()
    console.post("/state/set/", {"key": "x", "value": "2", "version": "1", "reason": "why not"})
    assert (value_of("x"), AuditRecord.objects.filter(action="state.set").count()) == (2, 2)
    gone = console.post("/state/delete/", {"key": "x", "version": "2"}, follow=True)
    assert gone.redirect_chain == [("/state/", 302)]
    assert "Nothing is stored here" in gone.content.decode()


def test_a_concurrent_change_is_told_and_nothing_is_overwritten(console):
    place = Place("global", "", "x")
    keep(place, '"first"', person="bob")
    keep(place, '"second"', person="bob")
    page = console.post("/state/set/", {"key": "x", "value": '"mine"', "version": "1"})
    text = page.content.decode()
    assert page.status_code == 409
    assert "is at version 2 now" in text
    assert "second" in text
    assert "&quot;mine&quot;" in text
    assert 'name="version" value="2"' in text, "a second press changes what is shown now"
    new = console.post("/state/set/", {"key": "x", "value": '"mine"', "version": "0"})
    assert new.status_code == 409
    told = console.post("/state/delete/", {"key": "x", "version": "1"}, follow=True)
    assert "is at version 2 now" in told.content.decode()
    assert value_of("x") == "second"


def test_what_is_no_json_or_no_key_is_said_beside_its_field(console):
    page = console.post("/state/set/", {"key": "two words", "value": "{", "version": "0", "ttl": "soon"})
    assert page.status_code == 400
    text = page.content.decode()
    assert "The value is not JSON igon7 can read" in text
    assert "key is &#x27;two words&#x27;" in text
    assert "soon" in text


def test_a_long_list_is_paged_by_key_and_searched(console):
    for number in range(120):
        keep(Place("global", "", f"k{number:03}"))
    page = console.get("/state/").content.decode()
    assert ("k049" in page, "k050" in page) == (True, False)
    assert "/state/?after=k049" in page
    page = console.get("/state/?after=k049").content.decode()
    assert ("k049" in page, "k050" in page) == (False, True)
    page = console.get("/state/?q=11").content.decode()
    assert ("k011" in page, "k111" in page, "k012" in page) == (True, True, False)


def test_a_guest_sees_no_form_and_what_may_not_be_viewed_is_not_found(execution, guest):
    client = Client()
    client.force_login(guest)
    assert client.get("/state/").status_code == 403
    assert client.get("/state/?workflow=etl").status_code == 404
    assign_perm("view_workflow", guest, Workflow.objects.get(name="etl"))
    page = client.get("/state/?workflow=etl").content.decode()
    assert "You may look at this state, and not change it." in page
    assert (
        client.post("/state/set/", {"key": "x", "value": "1", "version": "0", "workflow": "etl"}).status_code
        == 403
    )
    assert client.get("/state/value/?workflow=etl&key=nothing").status_code == 404
    assert client.get("/state/set/").status_code == 405


def test_a_page_of_the_list_takes_a_fixed_number_of_queries(
    console, execution, django_assert_max_num_queries
):
    console.get("/state/")  # once a session is known, nothing more is written of it for a while
    with django_assert_max_num_queries(12):
        console.get("/state/?workflow=etl")
