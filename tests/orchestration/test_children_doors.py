"""Where people see which executions have started which: API, commands, console."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from guardian.shortcuts import assign_perm

from orchestration import WorkflowBuilder
from orchestration.engine.builder import Workflow
from orchestration.models import Execution
from orchestration.models import Workflow as WorkflowRow
from orchestration.testing import Result, run
from tests.factories import person

pytestmark = pytest.mark.django_db


def one(name: str, body: Any) -> Workflow:
    return WorkflowBuilder(name).add_node("work", body).build()


def fails(ctx: Any) -> None:
    raise ValueError("no luck")


good, bad, secret = (
    one("good", lambda ctx: "<b>hello</b>"),
    one("bad", fails),
    one("secret", lambda ctx: None),
)
middle = one("middle", lambda ctx: ctx.run_child("good"))


def mixed(ctx: Any) -> Any:
    asked: Any = [("good", {}), ("middle", {}), ("bad", {}), ("secret", {})]
    return len(ctx.run_children(asked, return_exceptions=True))


@pytest.fixture
def family() -> Result:
    return run(one("top", mixed), workflows=[good, bad, secret, middle])


@pytest.fixture
def client(family: Result) -> Client:
    """Somebody who may see everything but "secret"."""
    guest = person("guest", staff=False)
    for row in WorkflowRow.objects.exclude(name="secret"):
        assign_perm("orchestration.view_workflow", guest, row)
    client = Client()
    client.force_login(guest)
    return client


def by_name(name: str) -> Execution:
    return Execution.objects.filter(workflow__name=name).order_by("pk")[0]


def test_the_api_lists_children_counts_them_and_tells_of_those_that_one_may_not_see(
    client: Client, family: Result
) -> None:
    shape = client.get(f"/api/v1/executions/{family.id}/children/").json()
    counts = {"failed": 1, "succeeded": 2}
    assert (shape["total"], shape["counts"], shape["hidden"]) == (4, counts, 1)
    assert {each["workflow"] for each in shape["results"]} == {"good", "middle", "bad"}
    assert {each["parent"] for each in shape["results"]} == {str(family.id)}
    detail = client.get(f"/api/v1/executions/{family.id}/").json()
    assert (detail["children"], detail["parent"]) == ({"total": 4, "counts": counts, "hidden": 1}, None)


def test_the_api_pages_children_and_filters_them_by_status(client: Client, family: Result) -> None:
    url = f"/api/v1/executions/{family.id}/children/"
    first = client.get(url, {"limit": 2}).json()
    second = client.get(first["next"]).json()
    assert (len(first["results"]), len(second["results"]), second["next"]) == (2, 1, None)
    [failed] = client.get(url, {"status": "failed"}).json()["results"]
    assert failed["workflow"] == "bad"
    [listed] = client.get("/api/v1/executions/", {"parent": str(by_name("middle").pk)}).json()["results"]
    assert listed["workflow"] == "good"
    [first] = client.get("/api/v1/executions/", {"parent": "none"}).json()["results"]
    assert first["workflow"] == "top"
    assert client.get("/api/v1/executions/", {"parent": "x"}).status_code == 400


def test_children_of_what_one_may_not_see_are_not_found(client: Client, family: Result) -> None:
    for doors in ("/api/v1", ""):
        assert client.get(f"{doors}/executions/{by_name('secret').pk}/children/").status_code == 404


def test_commands_show_a_family_and_list_its_members(family: Result, capsys: Any) -> None:
    call_command("show", str(by_name("middle").pk))
    said = capsys.readouterr().out
    assert f"Started by top  {family.id}" in said
    assert "Children: 1 succeeded" in said
    call_command("executions", "--parent", str(family.id), "--json")
    assert len(json.loads(capsys.readouterr().out)) == 4


def test_the_page_of_a_parent_counts_its_children_and_leads_to_them(client: Client, family: Result) -> None:
    page = client.get(f"/executions/{family.id}/").content.decode()
    assert f'href="/executions/{family.id}/children/?status=failed"' in page
    assert "1 that you may not see" in page
    node = client.get(f"/executions/{family.id}/nodes/work/").content.decode()
    assert f'href="/executions/{by_name("bad").pk}/"' in node
    assert str(by_name("secret").pk) not in page + node


def test_the_page_of_a_child_leads_back_to_where_it_comes_from(client: Client, family: Result) -> None:
    inner = Execution.objects.get(parent=by_name("middle"))
    page = client.get(f"/executions/{inner.pk}/").content.decode()
    top, between = (page.index(f'href="/executions/{id}/"') for id in (family.id, by_name("middle").pk))
    assert top < between


def test_a_parents_log_and_journal_tell_of_its_children(client: Client, family: Result, capsys: Any) -> None:
    call_command("show", str(family.id), "--events")
    said = capsys.readouterr().out
    assert "child started  4 × “children”" in said
    assert "waits for 4 of 4 children" in said
    node = client.get(f"/executions/{family.id}/nodes/work/").content.decode()
    assert "did not succeed" in node


def test_the_list_of_executions_leaves_children_out_where_that_is_asked_for(
    client: Client, family: Result
) -> None:
    page = client.get("/executions/", {"parent": "none"}).content.decode()
    assert page.count('class="row id"') == 1
    assert 'name="parent" value="none" checked' in page
    inner = client.get("/executions/", {"parent": str(family.id)}).content.decode()
    assert inner.count('class="row id"') == 3


def test_an_ancestor_that_one_may_not_see_is_not_named(family: Result) -> None:
    guest = User.objects.create_user("other")
    assign_perm("orchestration.view_workflow", guest, WorkflowRow.objects.get(name="good"))
    client = Client()
    client.force_login(guest)
    page = client.get(f"/executions/{Execution.objects.get(parent=by_name('middle')).pk}/").content.decode()
    assert page.count("one that you may not see") == 2
    assert str(family.id) not in page


def test_children_are_listed_by_status_and_drawn_as_a_tree(client: Client, family: Result) -> None:
    url = f"/executions/{family.id}/children/"
    page = client.get(url).content.decode()
    assert page.count('class="row id"') == 3
    assert client.get(url, {"status": "failed"}).content.decode().count('class="row id"') == 1
    drawn = client.get(url, {"view": "tree"}).content.decode()
    inner = Execution.objects.get(parent=by_name("middle"))
    assert drawn.index(str(by_name("middle").pk)) < drawn.index(str(inner.pk))
    assert "1 that you may not see" in drawn
    assert str(by_name("secret").pk) not in page + drawn
    assert client.get(url, {"after": "x"}).status_code == 400


def test_an_execution_without_children_asks_for_none(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    page = client.get(f"/executions/{by_name('good').pk}/children/").content.decode()
    assert "It has started no executions" in page


def test_what_a_child_has_kept_its_parent_reads_and_the_other_way_round() -> None:
    keeper = one("keeper", lambda ctx: [ctx.artifact("b.txt", ctx.read_artifact(ctx.input["file"]) + b"!")])
    stranger = one("stranger", lambda ctx: ctx.artifact("c.txt", b"c"))

    def parent(ctx: Any) -> Any:
        mine = ctx.artifact("a.txt", b"a")
        [theirs] = ctx.run_child("keeper", {"file": mine})["work"]
        return ctx.read_artifact(theirs).decode()

    result = run(one("parent", parent), workflows=[keeper])
    assert result.nodes["work"].output == "a!"
    other = run(stranger).nodes["work"].output
    refused = run(one("parent", lambda ctx: ctx.read_artifact(ctx.input)), input=other)
    assert refused.nodes["work"].error["type"] == "UnknownArtifact"
