"""What parked nodes wait for, said wherever they are shown."""

from __future__ import annotations

import asyncio
import datetime as dt
import html
import json
import re

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation
from rest_framework.authtoken.models import Token

from orchestration import WorkflowBuilder, queries
from orchestration.models import Execution, NodeRun, Wait
from orchestration.queries.why import LISTED_NODES
from orchestration.testing import run
from tests import factories

pytestmark = pytest.mark.django_db
CLOCK = r"\d\d:\d\d UTC"


def start(node=None, name="waits", **options):
    """Run a workflow until it waits, and return its execution."""
    builder = WorkflowBuilder(name)
    add = node or (lambda b: b.wait_for_signal("pay", "paid", **options))
    result = run(add(builder).build(), until=lambda now: Wait.objects.filter(execution=now.id).exists())
    return Execution.objects.select_related("workflow", "version").get(pk=result.id)


def texts(execution):
    """Return what is said of the execution, and of it in a list."""
    return str(queries.explain(execution, queries.node_runs(execution))), str(
        queries.whys([execution])[execution.pk]
    )


def plain(page):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", page.content.decode())).split())


@pytest.mark.parametrize(
    ("add", "says"),
    [
        (lambda b: b.wait_for_signal("pay", "paid"), rf"“pay” waits for the signal “paid” since {CLOCK}\."),
        (
            lambda b: b.wait_for_signal("pay", "paid", timeout="1h"),
            rf"“pay” waits for the signal “paid” since {CLOCK}, 60 min left\.",
        ),
        (
            lambda b: b.wait_for_signal("pay", "paid", timeout="5h"),
            rf"“pay” waits for the signal “paid” since {CLOCK}, 5 h left\.",
        ),
        (
            lambda b: b.wait_for_signal("pay", "paid", timeout="30d"),
            rf"“pay” waits for the signal “paid” since {CLOCK}, until \d+ \w+, \d\d:\d\d\.",
        ),
        (lambda b: b.sleep("rest", "45s"), rf"“rest” sleeps since {CLOCK}, \d+ s left\."),
        (
            lambda b: b.approval("ok", roles=["approver"], users=["uma"]),
            rf"“ok” waits for uma, approver to decide about “ok” since {CLOCK}\.",
        ),
        (
            lambda b: b.approval("ok", due="1d"),
            rf"“ok” waits for whoever may control it to decide about “ok” since {CLOCK}, 24 h left\.",
        ),
    ],
)
def test_a_parked_node_says_what_it_waits_for_since_when_and_how_much_longer(add, says):
    execution = start(add)
    for text in texts(execution):
        assert re.fullmatch(says, text), text


def test_a_body_that_waits_for_several_things_names_them():
    async def both(ctx):
        await asyncio.gather(ctx.wait_for_signal("a"), ctx.wait_for_signal("b"), ctx.sleep("2h"))

    execution = start(lambda b: b.add_node("work", both))
    says = rf"“work” waits for the signal “a”, the signal “b” and 1 more since {CLOCK}, 2 h left\."
    assert re.fullmatch(says, texts(execution)[0])


def test_of_several_nodes_that_wait_the_one_that_a_person_can_help_is_named():
    execution = start(
        lambda b: b.sleep("rest", 60).wait_for_signal("pay", "paid").approval("ok", users=["uma"])
    )
    NodeRun.objects.filter(execution=execution, status="ready").update(status="waiting")
    for run_ in NodeRun.objects.filter(execution=execution).exclude(waits__isnull=False):
        kind = {"rest": "sleep", "pay": "signal", "ok": "approval"}[run_.node]
        about = {"users": ["uma"], "roles": []} if kind == "approval" else None
        Wait.objects.create(execution=execution, node_run=run_, key="x#1", kind=kind, name=run_.node, about=about,
                            since=timezone.now())  # fmt: skip
    assert re.fullmatch(
        rf"“ok” waits for uma to decide about “ok” since {CLOCK}\. Others wait as well\.", texts(execution)[0]
    )


def test_the_console_says_it_with_times_that_keep_themselves_up_to_date(console):
    execution = start(timeout="1h")
    page = console.get(f"/executions/{execution.pk}/?view=nodes&node=pay")
    assert "“pay” waits for the signal “paid” since" in plain(page)  # the header
    assert (
        plain(page).count(" Waits for the signal “paid” since") == 2
    )  # the list of nodes, and the inspector
    assert 'data-clock="m"' in page.content.decode()
    assert "data-left" in page.content.decode()
    assert "“pay” waits for the signal “paid” since" in plain(console.get("/executions/"))


def test_the_api_and_the_command_line_say_it_too(alice, capsys):
    execution = start()
    client = Client(headers={"Authorization": f"Token {Token.objects.create(user=alice).key}"})
    shown = client.get(f"/api/v1/executions/{execution.pk}/").json()
    assert re.fullmatch(rf"“pay” waits for the signal “paid” since {CLOCK}\.", shown["why"])
    assert re.fullmatch(rf"Waits for the signal “paid” since {CLOCK}\.", shown["nodes"][0]["why"])
    [listed] = client.get("/api/v1/executions/").json()["results"]
    assert listed["why"] == shown["why"]
    call_command("show", str(execution.pk), json=True)
    assert json.loads(capsys.readouterr().out)["why"] == shown["why"]


def test_a_list_says_it_of_a_large_execution_unless_something_of_it_runs():
    def large(builder):
        for number in range(LISTED_NODES):
            builder.add_node(f"n{number}", factories.nothing, depends_on=["pay"])
        return builder.wait_for_signal("pay", "paid").wait_for_signal("ship", "shipped")

    execution = start(large)
    with CaptureQueriesContext(connection) as counted:
        said = queries.whys([execution])[execution.pk]
    assert said.node == "pay"
    assert len(counted) <= 4
    NodeRun.objects.filter(execution=execution, node="ship").update(
        status="running", lease_until=timezone.now() + dt.timedelta(minutes=1)
    )
    assert execution.pk not in queries.whys([execution])


def test_a_list_asks_as_often_for_many_that_wait_as_for_one():
    executions = [start(name=f"waits-{number}") for number in range(3)]
    with CaptureQueriesContext(connection) as one:
        queries.whys(executions[:1])
    with CaptureQueriesContext(connection) as many:
        queries.whys(executions)
    assert len(one) == len(many)


def test_it_is_said_in_french():
    execution = start(timeout="1h")
    with translation.override("fr"):
        assert "attend le signal" in texts(execution)[0]
