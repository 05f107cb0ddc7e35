"""The audit in the console."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from security import audit, sealing
from security.models import AuditRecord
from security.objects import Resource
from security.principals import Principal
from security.roles import AUDITOR, OPERATOR
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor() -> Client:
    user = factories.person("ada", staff=False)
    user.groups.add(Group.objects.get(name=AUDITOR))
    client = Client()
    client.force_login(user)
    return client


def record(
    action: str = "tests.act", name: str = "bob", called: str = "thing", outcome: str = "allowed"
) -> AuditRecord:
    principal = Principal(kind="user", id="7", name=name, user_id=7, address="192.0.2.7")
    return audit.record(principal, action, Resource("tests.thing", "1", called), outcome)


def test_an_auditor_searches_it_and_the_filters_are_in_the_address(auditor: Client):
    record("execution.cancel")
    record("execution.start", "eve", outcome="denied")
    record("secret.set", called="<b>api-key</b>")
    for query, shown in {
        "who=eve": {"execution.start"},
        "action=execution.": {"execution.start", "execution.cancel"},
        "action=secret.set": {"secret.set"},
        "outcome=denied": {"execution.start"},
        "resource=tests.thing:1&since=1h": {"execution.start", "execution.cancel", "secret.set"},
        "address=192.0.2.7&until=2026-01-31": set(),
    }.items():
        page = auditor.get(f"/audit/?{query}").content.decode()
        known = {"execution.start", "execution.cancel", "secret.set"}
        assert {action for action in known if f"<code>{action}</code>" in page} == shown, query
        assert "<b>api-key</b>" not in page


@pytest.mark.parametrize(
    "query",
    ["outcome=perhaps", "address=here", "since=yesterday", "after=x", "who=" + "x" * 201, "since=9999-99-99"],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(auditor: Client, query: str):
    answer = auditor.get(f"/audit/?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.content.decode()


def test_pages_follow_each_other_both_ways(auditor: Client):
    rows = [record(f"tests.{number:03}") for number in range(120)]
    first = auditor.get("/audit/?action=tests.").content.decode()
    assert "tests.119" in first
    assert "tests.069" not in first
    second = auditor.get(f"/audit/?action=tests.&after={rows[70].pk}").content.decode()
    assert "tests.069" in second
    assert f"before={rows[69].pk}" in second
    assert "tests.119" in auditor.get(f"/audit/?action=tests.&before={rows[69].pk}").content.decode()


@pytest.mark.django_db(transaction=True)  # PostgreSQL seals what is committed
def test_it_says_how_far_it_is_sealed(auditor: Client):
    record()
    assert "Nothing is sealed yet" in auditor.get("/audit/").content.decode()
    sealing.seal()
    assert "Sealed to position" in auditor.get("/audit/").content.decode()


def test_what_is_exported_is_an_act_of_its_own(auditor: Client):
    record("execution.cancel")
    record("secret.set")
    answer = auditor.post("/audit/export/", {"action": "execution."})
    lines = [json.loads(line) for line in b"".join(answer).decode().splitlines()]
    assert [line["action"] for line in lines] == ["execution.cancel"]
    assert AuditRecord.objects.get(action="audit.export").details == {"filters": {"action": "execution."}}


def test_nobody_else_reads_it_and_the_refusal_is_on_record():
    user = factories.person("bob", staff=False)
    user.groups.add(Group.objects.get(name=OPERATOR))
    client = Client()
    client.force_login(user)
    assert client.get("/audit/").status_code == 403
    assert client.post("/audit/export/").status_code == 403
    assert AuditRecord.objects.filter(action="audit.view", outcome="denied").count() == 2
    assert "/audit/" not in client.get("/").content.decode()
