"""Every role by every way in, as tests/security/access_table.py says; every answer carries the headers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.core.management import get_commands
from django.test import Client
from django.urls import URLResolver, get_resolver, reverse
from django.utils import timezone
from rest_framework.authtoken.models import Token

from monitoring.routing import websocket_urlpatterns
from orchestration import WorkflowBuilder, executor, registry
from orchestration.engine.parking import Wait as Waiting
from orchestration.models import Artifact, BulkAct, Event, Wait
from orchestration.store import versions
from security.models import AuditRecord
from security.principals import Principal
from tests import factories
from tests.factories import Act

from .access_table import (
    ABSENT,
    ACCOUNT,
    API,
    COMMANDS_OF_THE_SHELL,
    COMMANDS_THAT_ACT,
    CONSOLE,
    OWN,
    PUBLIC,
    READ_FIRST,
    ROLES,
    SENSITIVE,
    SOCKETS,
)

NAMED = ("viewer", "operator", "approver", "auditor", "admin")
OURS = ("igon7site", "orchestration", "monitoring", "security", "igon7site.demo")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
DENIED = (403, 404)
# What logs in and out, what takes arguments of its own, and pages of django-otp's that need a device.
NOT_ASKED = {
    "admin:login",
    "admin:logout",
    "admin:app_list",
}


@pytest.fixture(autouse=True)
def remember_no_rows() -> Iterator[None]:
    versions.forget_versions()
    yield
    versions.forget_versions()
    registry.forget("etl")


def _names(patterns: list[Any], space: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from _names(pattern.url_patterns, inner)
        elif pattern.name:
            yield f"{space}{pattern.name}", pattern


URLS = dict(_names(get_resolver().url_patterns))


def somebody(role: str) -> User | None:
    if role == "anonymous":
        return None
    user = factories.person(role, staff=False)
    user.is_staff, user.is_active = role == "staff", role != "deactivated"
    user.save()
    if role in (*NAMED, "deactivated"):
        user.groups.add(Group.objects.get(name=role if role in NAMED else "admin"))
    return user


@pytest.fixture
def things(db: None) -> dict[str, Any]:
    """Make one of everything that a URL names, of somebody else."""
    owner = factories.person("owner")
    builder = WorkflowBuilder("etl").add_node("build", factories.nothing)
    builder.add_node("ask", factories.nothing, depends_on=["build"])
    flow = builder.build()
    registry.register(flow)
    execution = factories.start_execution(flow, owner, ago=60)
    told = json.dumps({"text": "", "roles": [], "users": [], "form": None})
    script = {
        "build": Act(files={"a.txt": ("text/plain", b"a")}),
        "ask": Act(seconds=0.1, waits=[Waiting("go#1", "approval", "go", None, told)]),
    }
    factories.play(execution, script)
    me = Principal.for_shell()
    executor.emit_event("heard", principal=me)
    executor.set_state("k", 1, principal=me)
    now = timezone.now()
    act = BulkAct.objects.create(
        verb="cancel", principal={}, created_by=owner, total=1, created_at=now, started_at=now, paced_at=now
    )
    return {
        "id": execution.pk, "name": "etl", "node": "build", "artifact": Artifact.objects.get().pk,
        "wait": Wait.objects.get().pk, "part": "overview", "verb": "pause", "number": 1, "owner": owner.pk,
        "bulk": act.pk, "event": Event.objects.get().pk,
    }  # fmt: skip


def address(name: str, things: dict[str, Any]) -> str:
    wanted = URLS[name].pattern.converters
    given = {key: things[key] for key in wanted}
    if "bulk" in name and "id" in wanted:
        given["id"] = things["bulk"]
    if name.startswith("person"):
        given["id"] = things["owner"]
    if name in ("event", "api:broadcast"):
        given["id"] = things["event"]
    return reverse(name, kwargs=given)


def body(name: str, things: dict[str, Any]) -> Any:
    """Return what a request needs so that the answer is about who asks, and not about what they forgot."""
    about = {
        "state_set": {"key": "k", "value": "2"},
        "state_delete": {"key": "k", "version": "1"},
        "decide": {"answer": "yes", "decision": "approved"},
        "event_emit": {"name": "told"},
        "api:state_set": {"key": "k", "value": 2},
        "api:state_delete": {"key": "k"},
        "api:executions": {"workflow": "etl"},
        "api:approve": {"name": "go", "approved": True},
        "api:broadcasts": {"name": "told"},
        "api:signals": {"name": "hello"},
        "api:triggers": {"workflow": "etl", "event": "heard", "enabled": True},
        "api:cache_invalidate": {"workflow": "etl"},
        "api:bulk": {"verb": "pause", "ids": [str(things["id"])]},
        "api:bulk_preview": {"verb": "pause", "ids": [str(things["id"])]},
    }
    return about.get(name, {})


def ask(client: Client, row: str, things: dict[str, Any], headers: dict[str, str]) -> Any:
    method, name = row.split(" ")
    where, given = address(name, things), body(name, things)
    if method == "GET":
        return client.get(where, {"key": "k"} if "state_value" in name else {}, headers=headers)
    if name.startswith("api:"):
        return client.post(where, json.dumps(given), "application/json", headers=headers)
    return client.post(where, given)


def counts() -> dict[str, int]:
    own = (
        model
        for label in ("orchestration", "auth", "authtoken")
        for model in apps.get_app_config(label).get_models()
    )
    return {model._meta.label: model._default_manager.count() for model in own}


def test_every_url_socket_and_command_has_a_row() -> None:
    names = {name for name in URLS if not name.startswith("admin:")}
    assert names == {row.split(" ")[1] for row in {**CONSOLE, **API, **ACCOUNT}}
    assert {str(each.pattern) for each in websocket_urlpatterns} == set(SOCKETS)
    ours = {name for name, app in get_commands().items() if app in OURS}
    assert ours == COMMANDS_THAT_ACT | COMMANDS_OF_THE_SHELL


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("way", ["session", "token"])
def test_a_role_may_do_what_the_table_says_and_nothing_else(
    role: str, way: str, things: dict[str, Any]
) -> None:
    user, client, headers = somebody(role), Client(raise_request_exception=False), {}
    if user and way == "session":
        client.force_login(user)
    elif user:
        headers["Authorization"] = f"Token {Token.objects.create(user=user).key}"
    table = {**CONSOLE, **API, **ACCOUNT} if way == "session" else API
    wrong = [
        f"{row} as {role}: {said}"
        for row, needed in table.items()
        if needed != PUBLIC and (said := _wrong(ask, client, row, things, headers, role, needed))
    ]
    assert not wrong, "\n".join(wrong)


def _wrong(
    ask: Any,
    client: Client,
    row: str,
    things: dict[str, Any],
    headers: dict[str, str],
    role: str,
    needed: str,
) -> str:
    """Return what is wrong with the answer, or nothing."""
    before, denials = counts(), AuditRecord.objects.filter(outcome="denied").count()
    answer = ask(client, row, things, headers)
    if missing := [name for name, value in HEADERS.items() if answer.headers.get(name) != value]:
        return f"has not the headers {missing}"
    if "Access-Control-Allow-Origin" in answer.headers or "no-store" not in answer.headers["Cache-Control"]:
        return f"may be read by others: {answer.headers}"
    if needed == OWN and role not in ("anonymous", "deactivated"):
        return f"{answer.status_code}" if answer.status_code >= 500 or _to_login(answer) else ""
    if needed in ROLES[role]:
        refused = answer.status_code in (401, *DENIED) and not (answer.status_code == 404 and row in ABSENT)
        refused = refused and not (answer.status_code == 403 and row in SENSITIVE)
        failed = refused or answer.status_code >= 500 or _to_login(answer)
        return f"{answer.status_code} for who may" if failed else ""
    if counts() != before:
        return "changed something"
    if role in ("anonymous", "deactivated"):
        return "" if answer.status_code == 401 or _to_login(answer) else f"{answer.status_code}, no login"
    if answer.status_code == 400 and row in READ_FIRST:
        return ""
    if answer.status_code not in DENIED:
        return f"{answer.status_code} for who may not"
    recorded = AuditRecord.objects.filter(outcome="denied").count() > denials
    return "" if answer.status_code == 404 or recorded else "403 that nobody recorded"


def _to_login(answer: Any) -> bool:
    return answer.status_code == 302 and answer.headers["Location"].startswith("/login/")


@pytest.mark.django_db
@pytest.mark.parametrize("role", [role for role in ROLES if role != "anonymous"])
def test_the_admin_opens_to_staff_alone_and_shows_them_what_they_may(role: str) -> None:
    user, client = somebody(role), Client(raise_request_exception=False)
    assert user is not None
    client.force_login(user)
    for name, pattern in URLS.items():
        if not name.startswith("admin:") or name in NOT_ASKED:
            continue
        kwargs = {"object_id": "1", "app_label": "orchestration", "content_type_id": 1, "url": "x"}
        where = reverse(name, kwargs={key: kwargs.get(key, "1") for key in pattern.pattern.converters})
        answer = client.get(where)
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        if role != "staff":
            assert answer.status_code in (302, 404), (name, answer.status_code)
        elif name not in (
            "admin:index",
            "admin:jsi18n",
            "admin:password_change",
            "admin:password_change_done",
        ):
            assert answer.status_code in (302, 403, 404), (name, answer.status_code)
