"""`ctx.get_secret`: who may read, what is recorded, and that nothing a body does brings the value out."""

import base64
import json
import logging
import pathlib
from urllib.parse import quote

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.files.storage import default_storage
from django.db import connection
from guardian.shortcuts import assign_perm

from orchestration import CachePolicy, RetryPolicy, WorkflowBuilder, executor
from orchestration.engine import codec
from orchestration.testing import run
from security import masking
from security.models import AuditRecord
from security.principals import Principal
from security.secret_models import Secret, SecretUse
from security.secrets import writing

CANARY = 'k4nari/"é+wert?&17'
WORD = "kanarienvogel_2207"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _forgetful():
    yield
    masking.forget()
    codec.masks.clear()


def _reads(name="api-key"):
    def body(ctx):
        value = ctx.get_secret(name)
        return len(ctx.get_secret(name)) if value else 0

    return (
        WorkflowBuilder("reads", output="read")
        .add_node("read", body, retry=RetryPolicy(max_attempts=3))
        .build()
    )


@pytest.fixture
def ada():
    return get_user_model().objects.create_user("ada", is_superuser=False)


@pytest.fixture
def may_run(ada):
    assign_perm("orchestration.run_workflow", ada)
    assign_perm("orchestration.view_workflow", ada)
    return ada


def test_a_read_is_recorded_once_for_an_attempt_and_noted_for_the_workflow():
    result = run(_reads(), secrets={"api-key": CANARY})
    assert result.output == len(CANARY)
    record = AuditRecord.objects.get(action="secret.use")
    assert (record.details["node"], record.details["workflow"]) == ("read", "reads")
    assert SecretUse.objects.get().workflow == "reads"


def test_an_async_body_awaits_it():
    async def body(ctx):
        return len(await ctx.get_secret("api-key"))

    workflow = WorkflowBuilder("awaits", output="read").add_node("read", body).build()
    assert run(workflow, secrets={"api-key": CANARY}).output == len(CANARY)


def test_who_may_not_know_of_it_is_told_what_is_said_of_one_that_is_not_there(may_run):
    writing.put(Principal.system("test"), "api-key", CANARY)
    hidden = run(_reads(), principal=may_run).nodes["read"]
    absent = run(_reads("no-such"), principal=may_run).nodes["read"]
    assert hidden.error["type"] == absent.error["type"] == "UnknownSecret"
    assert hidden.error["message"].replace("api-key", "no-such") == absent.error["message"]
    assert hidden.attempts == 1  # never tried again
    assert AuditRecord.objects.filter(action="secret.use", outcome="denied").count() == 2


def test_a_grant_is_asked_as_the_person_is_now(may_run):
    writing.put(Principal.system("test"), "api-key", CANARY)
    secret = Secret.objects.get()
    assign_perm("security.view_secret", may_run, secret)
    assert run(_reads(), principal=may_run).nodes["read"].error["type"] == "SecretDenied"
    assign_perm("security.use_secret", may_run, secret)
    assert run(_reads(), principal=may_run).status == "succeeded"


def test_a_scope_refuses_other_workflows():
    writing.put(Principal.system("test"), "api-key", CANARY, workflows=["another"])
    error = run(_reads()).nodes["read"].error
    assert error["type"] == "SecretDenied"
    assert "“reads”" in error["message"]


# --- the canary ------------------------------------------------------------------------------------


def _forms():
    data = CANARY.encode()
    forms = {
        CANARY,
        WORD,
        json.dumps(CANARY)[1:-1],
        json.dumps(CANARY, ensure_ascii=False)[1:-1],
        quote(CANARY),
    }
    return forms | {quote(CANARY, safe=""), data.hex(), base64.b64encode(data).decode()}


def _leak(ctx):
    secret, word = ctx.get_secret("api-key"), ctx.get_secret("word")
    ctx.log.info("header: %s", {"Authorization": base64.b64encode(secret.encode()).decode()})
    logging.getLogger("orchestration").warning("said %s", secret)
    ctx.progress(0.5, f"with {secret}")
    ctx.heartbeat({"at": secret})
    ctx.storage.set("where", {secret: [secret, quote(secret)]})
    ctx.storage.set(word, 1)
    ctx.step(word, lambda: {"token": secret, "hex": secret.encode().hex()})
    ctx.emit_event(word, {"token": json.dumps(secret)}, id=word)
    ctx.audit(word, resource=word, details={"token": secret})
    ctx.artifact(word, f"the token is {secret}".encode(), "text/plain")
    ctx.artifact("x.json", json.dumps(secret).encode(), "application/json")
    ctx.run_child("child", {"token": secret})
    executor.send_signal(ctx.execution_id, "heard", {"token": secret}, principal=Principal.system("test"))
    return {"token": secret, "basic": base64.b64encode(b"me:" + secret.encode()).decode()}


def _break(ctx):
    secret = ctx.get_secret("api-key")
    try:
        raise KeyError(secret)
    except KeyError as error:
        raise type(ctx.get_secret("word"), (ValueError,), {})(f"refused: {secret}") from error


def _everything() -> str:
    """Return every column of every table, and every artifact, as one text."""
    said = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            said += [str(cell) for row in cursor.fetchall() for cell in row]
    for artifact in apps.get_model("orchestration.Artifact").objects.all():
        said.append(pathlib.Path(default_storage.path(artifact.path)).read_text())
    return "\n".join(said)


def _run_leaks():
    given = {"api-key": CANARY, "word": WORD}
    child = WorkflowBuilder("child").add_node("echo", lambda ctx: ctx.input).build()
    leaks = WorkflowBuilder("leaks").add_node("leak", _leak, cache=CachePolicy(ttl="1h"))
    leaks.add_node("next", lambda ctx: ctx.results["leak"], depends_on=["leak"])
    assert run(leaks.build(), workflows=[child], secrets=given).status == "succeeded"
    breaks = WorkflowBuilder("breaks").add_node("break", _break).build()
    assert run(breaks, secrets=given).nodes["break"].status == "failed"


def test_the_canary_is_found_where_nothing_is_masked(monkeypatch):
    monkeypatch.setattr(masking, "learn", lambda value: None)
    _run_leaks()
    found = _everything()
    assert {form for form in _forms() if form in found} >= {
        CANARY,
        WORD,
        quote(CANARY),
        CANARY.encode().hex(),
    }


def test_the_canary_is_nowhere_after_a_run_that_tries_each_way():
    _run_leaks()
    found = _everything()
    assert masking.MASK in found
    assert [form for form in _forms() if form in found] == []


def test_lines_of_the_process_are_masked_with_their_tracebacks():
    masking.learn(CANARY)
    formatter = masking.MaskingFormatter("{message}", style="{")
    try:
        raise ValueError(CANARY)
    except ValueError as error:
        about = (type(error), error, error.__traceback__)
    line = formatter.format(logging.LogRecord("x", 40, __file__, 1, "said %s", (CANARY,), about))
    masking.forget()
    assert CANARY not in line
    assert line.count(masking.MASK) >= 2
