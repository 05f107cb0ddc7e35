"""What people do in the console: start, verbs, downloads."""

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.http import StreamingHttpResponse
from django.test import AsyncClient, Client
from guardian.shortcuts import assign_perm

from orchestration import registry
from orchestration.engine.builder import Workflow
from orchestration.models import Artifact, Execution
from orchestration.store.versions import version_of
from security.models import AuditRecord
from tests import factories
from tests.factories import Act

pytestmark = pytest.mark.django_db

SCHEMA = {
    "type": "object",
    "required": ["city", "limit"],
    "additionalProperties": False,
    "properties": {
        "city": {"type": "string", "title": "City", "description": "Where to look.", "minLength": 3},
        "limit": {"type": "integer", "minimum": 1, "maximum": 9, "default": 5},
        "ratio": {"type": "number", "exclusiveMaximum": 1},
        "unit": {"enum": ["km", "mi", 7]},
        "dry": {"type": "boolean", "default": True},
        "loud": {"type": "boolean"},
        "days": {"type": "array", "items": {"enum": ["mon", "tue", "wed"]}, "default": ["mon"]},
        "names": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "more": {"type": "object", "properties": {"deep": {"type": "integer"}}},
        "either": {"type": ["string", "integer"]},
        "maybe": {"type": ["string", "null"]},
    },
}
ASKED = {"input.city": "Lyon", "input.limit": "3", "priority": "2", "tags": "a, b,a"}


@pytest.fixture
def typed():
    """A workflow with a schema, which the code has."""
    flow = factories.make_workflow("typed", {"only": ()}, input_schema=SCHEMA)
    registry.register(flow)
    version_of(flow)
    yield flow
    registry.forget("typed")


@pytest.fixture
def untyped(etl: Workflow):
    registry.register(etl)
    version_of(etl)
    yield etl
    registry.forget("etl")


def test_the_form_has_a_field_for_each_property(typed: Workflow, console: Client) -> None:
    page = console.get("/workflows/typed/").content.decode()
    for name in SCHEMA["properties"]:  # type: ignore[attr-defined]
        assert f'name="input.{name}"' in page, name
    assert "Where to look." in page
    assert 'type="number" name="input.limit" value="5" min="1" max="9"' in page


def test_what_the_form_says_becomes_the_input(typed: Workflow, console: Client) -> None:
    told = ASKED | {
        "input.ratio": "0.5", "input.unit": "7", "input.loud": "false", "input.days": ['"tue"', '"wed"'],
        "input.names": "Ann\n\n Bob ", "input.more": '{"deep": 1}', "input.either": "12",
    }  # fmt: skip
    response = console.post("/workflows/typed/start/", told)
    execution = Execution.objects.get()
    assert response.status_code == 302
    assert response["Location"] == f"/executions/{execution.pk}/"
    assert execution.input == {
        "city": "Lyon", "limit": 3, "ratio": 0.5, "unit": 7, "dry": False, "loud": False, "days": ["tue", "wed"],
        "names": ["Ann", "Bob"], "more": {"deep": 1}, "either": 12,
    }  # fmt: skip
    assert (execution.priority, execution.tags) == (2, ["a", "b"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"input.city": ""}, "This field is required."),
        ({"input.city": "Ly"}, "&#x27;Ly&#x27; is too short"),
        ({"input.limit": "10"}, "less than or equal to 9"),
        ({"input.limit": "many"}, "Enter a whole number."),
        ({"input.ratio": "1"}, "1.0 is greater than or equal to the maximum of 1"),
        ({"input.names": "a\nb\nc"}, "is too long"),
        ({"input.more": '{"deep": "x"}'}, "deep: &#x27;x&#x27; is not of type &#x27;integer&#x27;"),
        ({"input.more": "{deep}"}, "This is not JSON"),
        ({"input.unit": '"ft"'}, "Select a valid choice"),
        ({"priority": "9"}, "Select a valid choice"),
        ({"tags": "x" * 101}, "a text of 1 to 100 characters"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(
    typed: Workflow, console: Client, wrong: dict[str, str], said: str
) -> None:
    response = console.post("/workflows/typed/start/", ASKED | {"input.names": "kept"} | wrong)
    page = response.content.decode()
    assert response.status_code == 400
    assert said in page
    names = wrong.get("input.names", "kept")
    assert f"\n{names}</textarea>" in page
    assert not Execution.objects.exists()


def test_the_input_may_be_written_as_json(typed: Workflow, untyped: Workflow, console: Client) -> None:
    assert "&quot;limit&quot;: 5" in console.get("/workflows/typed/?as=json").content.decode()
    told = {"as": "json", "input": '{"city": "Lyon", "limit": 99}', "priority": "3", "tags": ""}
    response = console.post("/workflows/typed/start/", told)
    assert response.status_code == 400
    assert "99 is greater than the maximum of 9" in response.content.decode()
    for text, kept in (("", {}), ("[1, 2]", [1, 2])):
        console.post("/workflows/etl/start/", {"input": text, "priority": "3", "tags": ""})
        assert Execution.objects.order_by("-id")[0].input == kept


def test_only_who_may_run_starts(typed: Workflow, guest: User) -> None:
    client = Client()
    client.force_login(guest)
    assert client.post("/workflows/typed/start/", ASKED).status_code == 404
    row = version_of(typed).workflow
    assign_perm("orchestration.view_workflow", guest, row)
    assert client.post("/workflows/typed/start/", ASKED).status_code == 403
    assert AuditRecord.objects.filter(outcome="denied", action="workflow.run").count() == 1
    assign_perm("orchestration.run_workflow", guest, row)
    assert client.post("/workflows/typed/start/", ASKED).status_code == 302
    assert Execution.objects.count() == 1


def test_a_workflow_whose_code_is_gone_says_so(alice: User, etl: Workflow, console: Client) -> None:
    version_of(etl)
    page = console.get("/workflows/etl/").content.decode()
    assert "The installed code no longer has this workflow." in page
    response = console.post("/workflows/etl/start/", {"input": "", "priority": "3", "tags": ""})
    assert response.status_code == 404
    assert "There is no workflow &quot;etl&quot;." in response.content.decode()


@pytest.mark.parametrize(
    ("verb", "status", "why"),
    [
        ("cancel", "cancelled", "Cancelled by alice: because"),
        ("terminate", "terminated", "Terminated by alice: because"),
        ("pause", "paused", "Paused by alice: because"),
    ],
)
def test_a_verb_is_one_post(
    alice: User, etl: Workflow, console: Client, verb: str, status: str, why: str
) -> None:
    execution = factories.start_execution(etl, alice)
    here = f"/executions/{execution.pk}/"
    assert console.get(f"{here}{verb}/").status_code == 405
    assert f'<dialog id="dialog-{verb}" aria-labelledby="dialog-{verb}-title" open>' in str(
        console.get(f"{here}?do={verb}").content
    )
    response = console.post(f"{here}{verb}/", {"reason": " because "})
    assert response["Location"] == here
    execution.refresh_from_db()
    assert execution.status == status
    assert why in console.get(here).content.decode()
    assert AuditRecord.objects.get(action=f"execution.{verb}").details["reason"] == "because"


def test_a_verb_that_is_too_late_answers_409_with_the_reason(
    alice: User, etl: Workflow, console: Client
) -> None:
    execution = factories.play(factories.start_execution(etl, alice, ago=60))
    response = console.post(f"/executions/{execution.pk}/cancel/")
    assert response.status_code == 409
    assert "is succeeded, so it cannot be cancelled." in response.content.decode()
    assert console.post(f"/executions/{execution.pk}/explode/").status_code == 404


def test_a_failed_execution_is_retried_from_where_it_failed(
    alice: User, etl: Workflow, console: Client
) -> None:
    execution = factories.start_execution(etl, alice, ago=60)
    factories.play(execution, {"transform": Act(error=("ValueError", "bad"))})
    console.post(f"/executions/{execution.pk}/retry/", {"node": "transform"})
    execution.refresh_from_db()
    assert (execution.status, execution.generation) == ("running", 2)


def test_only_who_may_control_acts(alice: User, guest: User, etl: Workflow) -> None:
    execution = factories.start_execution(etl, alice)
    client = Client()
    client.force_login(guest)
    assert client.post(f"/executions/{execution.pk}/cancel/").status_code == 404
    assign_perm("orchestration.view_workflow", guest, execution.workflow)
    assert client.post(f"/executions/{execution.pk}/cancel/").status_code == 403
    execution.refresh_from_db()
    assert execution.status == "running"


@pytest.fixture
def report(alice: User, etl: Workflow) -> Artifact:
    execution = factories.start_execution(etl, alice, ago=60)
    body = b"<script>alert(1)</script>" * 40_000
    factories.play(execution, {"load": Act(files={'r"é.html': ("text/html", body)})})
    return Artifact.objects.get()


def fetch(user: User, url: str) -> tuple[int, dict[str, str], bytes]:
    async def get() -> tuple[int, dict[str, str], bytes]:
        client = AsyncClient()
        await client.aforce_login(user)
        response = await client.get(url)
        if not response.streaming:
            return response.status_code, dict(response.headers), response.content
        assert isinstance(response, StreamingHttpResponse)
        body = [chunk async for chunk in response]
        return response.status_code, dict(response.headers), b"".join(body)

    return async_to_sync(get)()


def test_an_artifact_is_downloaded_and_never_shown(report: Artifact, alice: User, guest: User) -> None:
    url = f"/executions/{report.execution_id}/artifacts/{report.pk}/"
    status, headers, body = fetch(alice, url)
    assert (status, len(body)) == (200, report.size)
    assert headers["Content-Disposition"].startswith("attachment; filename")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert fetch(guest, url)[0] == 404
    assert fetch(alice, f"/executions/{report.execution_id}/artifacts/{report.execution_id}/")[0] == 404
