"""The console's pages: who sees them, what they show, how many queries they take."""

from collections.abc import Callable
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from guardian.shortcuts import assign_perm

from orchestration import WorkflowBuilder, registry
from orchestration.engine.builder import Workflow
from tests import factories
from tests.factories import Act

pytestmark = pytest.mark.django_db
BAD = '<script>alert("x")</script>'


def text_of(client: Client, url: str, status: int = 200, headers: dict[str, str] | None = None) -> str:
    response = client.get(url, headers=headers)
    assert response.status_code == status, response
    return response.content.decode()


def queries_of(client: Client, url: str) -> int:
    client.get(url)  # what is read once in a process is read
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


@pytest.fixture
def failed(alice: User, etl: Workflow):
    execution = factories.start_execution(etl, alice, {"day": BAD}, ago=60, tags=("nightly", BAD))
    lines = [("info", f"opening {BAD}"), ("error", "row 3 is bad")]
    script = {
        "extract": Act(2, {"rows": 7, "note": BAD}),
        "transform": Act(1, error=("ValueError", BAD), lines=lines),
    }
    return factories.play(execution, script)


PLACES = ["/", "/executions/", "/workflows/", "/workflows/etl/", "/workers/"]


def test_nobody_sees_anything_without_logging_in(failed) -> None:
    for url in [*PLACES, *parts_of(failed)]:
        response = Client().get(url)
        assert response.status_code == 302, url
        assert response["Location"] == f"/login/?next={quote(url, safe='/')}"


def parts_of(execution) -> list[str]:
    here = f"/executions/{execution.pk}/"
    parts = [f"{here}parts/{name}/" for name in ("header", "canvas", "log", "lines", "inspector")]
    views = [f"{here}?view={name}" for name in ("graph", "timeline", "nodes")]
    return [here, f"{here}nodes/transform/", *views, *parts]


def test_whoever_has_no_grant_finds_nothing(failed, guest: User, etl: Workflow) -> None:
    client = Client()
    client.force_login(guest)
    for url in [*parts_of(failed), "/workflows/etl/"]:
        assert "There is nothing here" in text_of(client, url, 404)
    assert "You may not do this" in text_of(client, "/workers/", 403)
    for url in ("/", "/executions/", "/workflows/"):
        assert str(failed.pk) not in text_of(client, url)
    assign_perm("orchestration.view_workflow", guest, failed.workflow)
    assert str(failed.pk) in text_of(client, "/executions/")
    page = text_of(client, f"/executions/{failed.pk}/")
    assert "do-retry" not in page  # to view is not to control
    registry.register(etl)
    try:
        assert "You may look at this workflow, and not start it." in text_of(client, "/workflows/etl/")
    finally:
        registry.forget("etl")


def test_what_people_and_bodies_write_is_never_markup(failed, console: Client) -> None:
    for url in [
        *PLACES,
        *parts_of(failed),
        f"/executions/{failed.pk}/?node=extract",
        "/executions/?q=" + quote(BAD),
    ]:
        page = text_of(console, url)
        assert BAD not in page, url
        assert " style=" not in page, url  # nothing that the policy would refuse
        assert "<script>" not in page, url
        assert "onclick" not in page, url


def test_every_page_carries_the_strict_policy(failed, console: Client) -> None:
    for url in [*PLACES, f"/executions/{failed.pk}/", "/nowhere/"]:
        policy = console.get(url)["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "style-src 'self';" in policy


def test_the_page_opens_on_the_first_node_that_failed(failed, console: Client) -> None:
    page = text_of(console, f"/executions/{failed.pk}/")
    assert 'data-selected="transform"' in page
    assert "“transform” failed: ValueError:" in page
    assert "row 3 is bad" in page
    assert "in transform" in page  # its traceback
    other = text_of(console, f"/executions/{failed.pk}/?node=extract")
    assert "row 3 is bad" not in other  # the log follows the selected node
    assert "row 3 is bad" in text_of(console, f"/executions/{failed.pk}/?node=extract&log=all")
    assert 'data-selected=""' in text_of(console, f"/executions/{failed.pk}/?node=")
    assert 'data-selected=""' in text_of(console, f"/executions/{failed.pk}/?node=gone")


def test_every_node_is_in_the_list_and_the_graph_unstarted_ones_too(
    alice: User, etl: Workflow, console: Client
) -> None:
    execution = factories.start_execution(etl, alice)
    for view in ("graph", "nodes", "timeline"):
        page = text_of(console, f"/executions/{execution.pk}/parts/canvas/?view={view}")
        for node in ("extract", "transform", "load"):
            assert node in page
        assert "Pending" in page


def test_the_log_is_searched_on_the_server_and_read_further_back(alice: User, console: Client) -> None:
    flow = factories.make_workflow("talk", {"talk": ()})
    lines = [("info", f"line {number}") for number in range(450)] + [("warning", "the needle")]
    execution = factories.play(factories.start_execution(flow, alice, ago=60), {"talk": Act(9, lines=lines)})
    here = f"/executions/{execution.pk}/parts/lines/"
    page = text_of(console, here)
    assert page.count("<li data-id=") == 400
    before = page.partition('data-earlier="')[2].partition('"')[0]
    earlier = text_of(console, f"{here}?before={before}")
    assert earlier.count("<li data-id=") == 51
    assert "data-earlier" not in earlier
    assert text_of(console, f"{here}?q=NEEDLE").count("<li data-id=") == 1
    assert text_of(console, f"{here}?level=warning").count("<li data-id=") == 1
    assert "No line matches." in text_of(console, f"{here}?level=error")
    assert text_of(console, f"{here}?level=x&before=-1&q=").count("<li data-id=") == 400


def test_attempts_come_from_the_log_of_events(alice: User, console: Client) -> None:
    flow = factories.make_workflow("flaky", {"call": ()}, retries={"call": 3})
    bad = Act(0.5, error=("TimeoutError", "no answer"))
    execution = factories.start_execution(flow, alice, ago=60)
    factories.play(execution, {"call": [bad, bad, Act(2, result={"ok": True})]})
    page = text_of(console, f"/executions/{execution.pk}/nodes/call/")
    assert page.count("TimeoutError: no answer") == 4  # beside each attempt, and at the end of its traceback
    assert page.count("500 ms") == 2
    assert "2.0 s" in page
    timeline = text_of(console, f"/executions/{execution.pk}/parts/canvas/?view=timeline")
    assert timeline.count('class="t-running"') == 3
    assert timeline.count('class="t-retrying"') == 2


def test_a_rescued_node_says_who_took_its_place_and_why(alice: User, console: Client) -> None:
    builder = (
        WorkflowBuilder("sources", output="primary")
        .add_node("primary", factories.nothing, fallback="second")
        .add_node("second", factories.nothing)
        .add_node("catch", factories.nothing, on_error=True, for_nodes=["primary"], error_types=[OSError])
    )
    script = {"primary": Act(1, error=("Refused", "no route")), "second": Act(1, {"rows": 7})}
    here = (
        f"/executions/{factories.play(factories.start_execution(builder.build(), alice, ago=60), script).pk}/"
    )
    page = text_of(console, f"{here}?node=primary")
    assert "Failed: Refused: no route. “second” gave its result." in page
    assert "Caught by" in page
    assert 'class="gedge grescue gcalled"' in page
    assert 'data-node="catch" data-label="catch" data-status="skipped"' in page
    inspected = text_of(console, f"{here}parts/inspector/?node=second")
    assert "the failure of" in inspected
    assert "rows" in text_of(console, f"{here}parts/inspector/?node=primary")


def test_the_critical_path_is_the_chain_that_was_waited_for(alice: User, console: Client) -> None:
    edges = {"read": (), "quick": ["read"], "slow": ["read"], "join": ["quick", "slow"]}
    execution = factories.start_execution(factories.make_workflow("fan", edges), alice, ago=60)
    factories.play(execution, {"slow": Act(5)})
    page = text_of(console, f"/executions/{execution.pk}/parts/canvas/?view=timeline")
    rows = {row.partition('data-node-link="')[2].partition('"')[0]: row for row in page.split("<a ")[1:]}
    assert {node for node, row in rows.items() if "t-row critical" in row} == {"read", "slow", "join"}


def test_many_alike_nodes_are_one_row_of_the_timeline_that_opens(alice: User, console: Client) -> None:
    leaves = [f"leaf{number:02}" for number in range(30)]
    edges = {"root": (), **{leaf: ["root"] for leaf in leaves}, "join": leaves}
    execution = factories.start_execution(factories.make_workflow("wide", edges), alice, ago=60)
    factories.play(execution, {"leaf07": Act(2, error=("Refused", "no"))})
    canvas = f"/executions/{execution.pk}/parts/canvas/?view=timeline"
    closed = text_of(console, f"{canvas}&node=")
    assert closed.count("data-group-link") == 1
    assert closed.count("data-node-link") == 2  # root and join
    assert "×30" in closed
    assert "29 succeeded, 1 failed" in closed
    assert 'data-status="failed" aria-expanded="false"' in closed
    with_one = text_of(console, canvas)  # the page opens on what has failed
    assert 'data-node-link="leaf07"' in with_one
    assert with_one.count("data-node-link") == 3
    opened = text_of(console, f"{canvas}&node=&open=group:leaf00")
    assert opened.count(" t-inside") == 30
    assert 'aria-expanded="true"' in opened
    rows = [row.partition('"')[0] for row in opened.split('data-node-link="')[1:]]
    assert (rows[0], rows[-1]) == ("root", "join")


def test_a_part_or_node_that_there_is_not_is_not_found(failed, console: Client) -> None:
    for rest in ("parts/everything/", "nodes/gone/", "nodes/extract/deeper/", "gone/"):
        assert console.get(f"/executions/{failed.pk}/{rest}").status_code in (404, 405), rest


def test_the_filters_of_the_list_are_in_the_address(
    failed, alice: User, etl: Workflow, console: Client
) -> None:
    running = factories.start_execution(etl, alice)
    page = text_of(console, "/executions/?status=failed&-status=queued&q=ValueError")
    assert str(failed.pk) not in page  # the type is not the message
    page = text_of(console, "/executions/?status=failed&-tag=ml")
    assert str(failed.pk) in page
    assert str(running.pk) not in page
    assert 'href="/executions/?status=failed"' in page  # the chip that takes -tag away
    assert "every 3s" not in page  # nothing there is unfinished
    assert "every 3s" in text_of(console, "/executions/")
    page = text_of(console, "/executions/?status=nonsense", 400)
    assert "status is &#x27;nonsense&#x27;; it must be one of" in page
    assert "No execution matches" in text_of(console, "/executions/?tag=none")


def test_htmx_gets_the_list_alone(failed, console: Client) -> None:
    part = text_of(console, "/executions/", headers={"HX-Request": "true", "HX-Target": "list"})
    assert str(failed.pk) in part
    assert "<html" not in part


def test_pages_of_the_list_keep_the_filters(alice: User, etl: Workflow, console: Client) -> None:
    for number in range(52):
        factories.start_execution(etl, alice, ago=100 - number, tags=("x",))
    first = text_of(console, "/executions/?tag=x")
    older = first.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert older.startswith("?tag=x&after=")
    second = text_of(console, f"/executions/{older}")
    assert second.count('class="row id"') == 2
    newer = second.partition('rel="prev" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert text_of(console, f"/executions/{newer}").count('class="row id"') == 50


def test_home_links_each_number_to_the_list_that_made_it(
    failed, alice: User, etl: Workflow, console: Client
) -> None:
    factories.start_execution(etl, alice)
    page = text_of(console, "/")
    numbers = [part.partition("</a>")[0] for part in page.split('<a class="number"')[1:]]
    shown = []
    for number in numbers[:4]:
        href = number.partition('href="')[2].partition('"')[0].replace("&amp;", "&")
        count = int(number.partition('class="value">')[2].partition("<")[0])
        shown.append(count)
        assert text_of(console, href).count('class="row id"') == count
    assert shown == [1, 0, 1, 0]
    assert "No worker is running." in page
    factories.worker_node()
    assert "No worker is running." not in text_of(console, "/")


def test_an_empty_home_offers_something_to_run(console: Client) -> None:
    from orchestration.store.versions import sync

    assert "Write a workflow in a workflows.py" in text_of(console, "/")
    sync()
    page = text_of(console, "/")
    assert "Nothing has run yet" in page
    assert 'href="/workflows/flight-delays/"' in page


def test_workers_show_their_age_slots_and_what_they_run(alice: User, etl: Workflow, console: Client) -> None:
    assert "No worker is running." in text_of(console, "/workers/")
    worker = factories.worker_node("saturn", slots=4)
    factories.worker_node("lost", ago=600)
    factories.play(factories.start_execution(etl, alice, ago=60), worker=worker, until=0.5)
    page = text_of(console, "/workers/")
    assert "1 of 4 slots are busy." in page
    assert "etl · extract" in page
    assert page.count(">Alive<") == page.count(">Silent<") == 1


@pytest.mark.parametrize(("url", "heading"), [("/nowhere/", "There is nothing here")])
def test_errors_wear_the_console_and_tell_no_details(console: Client, url: str, heading: str) -> None:
    page = text_of(console, url, 404)
    assert heading in page
    assert "nowhere" not in page


def test_a_form_without_its_token_is_refused_in_the_same_look(failed, alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    response = strict.post(f"/executions/{failed.pk}/retry/")
    assert response.status_code == 403
    assert "This form is no longer valid" in response.content.decode()


@pytest.mark.parametrize("url", ["/", "/executions/", "/workflows/", "/workers/"])
def test_lists_take_as_many_queries_for_many_rows_as_for_few(alice: User, console: Client, url: str) -> None:
    def grow(number: int) -> None:
        worker = factories.worker_node(f"worker-{number}")
        flow = factories.make_workflow(f"flow-{number}")
        factories.play(
            factories.start_execution(flow, alice, ago=60, tags=("a", "b")), worker=worker, until=0.5
        )
        factories.play(factories.start_execution(flow, None, ago=600), {"transform": Act(error=("E", "bad"))})

    check_growth(console, url, grow)


@pytest.mark.parametrize("view", ["graph", "timeline", "nodes"])
def test_the_execution_page_takes_as_many_queries_for_many_nodes_as_for_few(
    alice: User, console: Client, view: str
) -> None:
    pages = []
    for width in (2, 30):
        edges = (
            {"read": ()} | {f"n{number}": ["read"] for number in range(width)} | {"end": [f"n{width - 1}"]}
        )
        flow = factories.make_workflow(f"wide-{width}", edges)
        script = {"n*": Act(1, {"a": 1}, lines=[("info", "hello")] * 3)}
        execution = factories.play(factories.start_execution(flow, alice, ago=300), script)
        factories.keep_artifact(execution, "read", "a.txt", b"a", "text/plain")
        pages.append(queries_of(console, f"/executions/{execution.pk}/?view={view}&node=n1"))
    assert pages[0] == pages[1] <= 20


def check_growth(client: Client, url: str, grow: Callable[[int], None]) -> None:
    grow(1)
    few = queries_of(client, url)
    for number in range(2, 8):
        grow(number)
    assert queries_of(client, url) == few <= 24
