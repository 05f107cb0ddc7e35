"""What a worker prints, waits for and writes, and what pages and answers show of it, tells no secret."""

from __future__ import annotations

import pytest
from django.test import Client

from orchestration import WorkflowBuilder
from orchestration.engine import codec
from orchestration.testing import run
from security import masking
from tests import factories

pytestmark = pytest.mark.django_db
CANARY = "kanarienvogel_3119"


@pytest.fixture(autouse=True)
def _forgetful():
    yield
    masking.forget()
    codec.masks.clear()


def tells(ctx):
    value = ctx.get_secret("api-key")
    print("printed", value)
    ctx.log.info("logged %s", value)
    ctx.progress(0.1, value)
    ctx.storage.set("kept", {"key": value})
    ctx.audit("told", resource=value)
    ctx.wait_for_signal(f"go-{value}")


def seen() -> dict[str, str]:
    workflow = WorkflowBuilder("telling").add_node("work", tells).build()
    came = run(workflow, secrets={"api-key": CANARY}, until=lambda now: now.nodes["work"].status == "waiting")
    client = Client()
    client.force_login(factories.person("root"))
    one = f"/executions/{came.id}/"
    paths = [one, f"{one}?node=work", f"{one}signals/", *"/ /executions/ /audit/ /secrets/ /state/".split()]
    parts = ("", "log/", "events/", "journal/?node=work")
    paths += ["/api/v1/secrets/", *(f"/api/v1{one}{part}" for part in parts)]
    answers = {path: client.get(path) for path in paths}
    assert {path: answer.status_code for path, answer in answers.items() if answer.status_code != 200} == {}
    return {path: answer.content.decode() for path, answer in answers.items()}


def test_no_page_and_no_answer_shows_it_and_nothing_printed_does(capsys: pytest.CaptureFixture[str]):
    pages = seen()
    assert [path for path, text in pages.items() if CANARY in text] == []
    printed = capsys.readouterr()
    assert "printed •••" in printed.out
    assert CANARY not in printed.out + printed.err


def test_they_do_where_nothing_is_masked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masking, "learn", lambda value: None)
    assert len([path for path, text in seen().items() if CANARY in text]) >= 4
