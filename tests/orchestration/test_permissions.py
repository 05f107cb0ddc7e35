"""Nodes that do not run for everybody: at the start, before each run, and on somebody's release."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from orchestration import Permissions, WorkflowBuilder, executor, queries, registry
from orchestration.engine.errors import InvalidOption
from orchestration.models import NodeRun, Wait
from orchestration.queries.waits import why_parked
from orchestration.testing import run
from security.errors import PERMISSION_DENIED, STEP_UP_REQUIRED, Denied
from security.models import AuditRecord
from security.principals import Principal
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

OPERATORS = Permissions(required_roles=["operators"], on_denied="fail")
ASKING = Permissions(required_roles=["operators"], on_denied="wait")
VERIFIED = Permissions(required_roles=["operators"], require_mfa=True, on_denied="wait", mfa_max_age="1h")


def person(name: str, *roles: str, verified: timedelta | None = None) -> Principal:
    """Return the principal of a person of these roles, whose second factor answered so long ago."""
    user = User.objects.filter(username=name).first() or factories.person(name)
    for role in roles:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    principal = Principal.for_user(user)
    if verified is None:
        return principal
    device = TOTPDevice.objects.get_or_create(user=user, name="phone")[0]
    return replace(principal, mfa_device=device.persistent_id, mfa_at=timezone.now() - verified)


def take_away(name: str, role: str) -> None:
    User.objects.get(username=name).groups.remove(Group.objects.get(name=role))


def workflow(permissions: Permissions, body=lambda ctx: "done", first=lambda ctx: "prepared"):
    builder = WorkflowBuilder("guarded").add_node("prepare", first)
    return builder.add_node("act", body, depends_on=["prepare"], permissions=permissions).build()


def waits(now) -> bool:
    return now.nodes["act"].status == "waiting"


def asked() -> Wait:
    return Wait.objects.select_related("execution__workflow", "node_run").get(kind="release")


def denials(action: str = "node.run") -> int:
    return AuditRecord.objects.filter(action=action, outcome="denied").count()


# --- at the start ----------------------------------------------------------------------------------


def test_who_is_of_the_role_or_named_runs_it():
    assert run(workflow(OPERATORS), principal=person("olga", "operators")).status == "succeeded"
    named = Permissions(required_roles=["operators"], allowed_users=["nora"])
    assert run(workflow(named), principal=person("nora")).status == "succeeded"


def test_a_start_that_is_sure_to_be_denied_is_refused_and_on_record():
    with pytest.raises(Denied, match="“act” does not run for vera: it asks for the role operators") as denied:
        run(workflow(OPERATORS), principal=person("vera"))
    assert denied.value.code == PERMISSION_DENIED
    assert denials() == 1
    assert not queries.executions(Principal.system("tests")).exists()


def test_a_start_without_the_second_factor_that_it_needs_asks_for_it():
    permissions = Permissions(require_mfa=True)
    with pytest.raises(Denied, match="second factor") as denied:
        run(workflow(permissions), principal=person("vera", verified=timedelta(hours=2)))
    assert denied.value.code == STEP_UP_REQUIRED
    assert run(workflow(permissions), principal=person("vera", verified=timedelta(0))).status == "succeeded"


def test_a_token_and_the_system_never_have_a_second_factor():
    verified = person("vera", verified=timedelta(0))
    for principal in (replace(verified, kind="token"), Principal.system("trigger:paid")):
        with pytest.raises(Denied, match="second factor"):
            run(workflow(Permissions(require_mfa=True)), principal=principal)


def test_a_node_that_a_condition_may_spare_is_asked_about_only_when_it_is_come_to():
    builder = WorkflowBuilder("maybe").add_node(
        "act", lambda ctx: "done", when=lambda ctx: ctx.input["act"], permissions=OPERATORS
    )
    came = run(builder.build(), input={"act": False}, principal=person("vera"))
    assert came.nodes["act"].error["code"] == "node_denied", "nothing of the author's runs before it is asked"


# --- when it is about to run -----------------------------------------------------------------------


def meanwhile(change):
    """Return the body of the node before, in whose time something changes."""

    def prepare(ctx):
        change()
        return "prepared"

    return prepare


def test_a_role_that_was_taken_away_since_the_start_is_gone():
    olga = person("olga", "operators")
    change = meanwhile(lambda: take_away("olga", "operators"))
    came = run(workflow(OPERATORS, first=change), principal=olga)
    assert came.status == "failed"
    assert came.nodes["act"].error["code"] == "node_denied"
    assert came.nodes["act"].attempts == 1, "it is not tried again"
    assert denials() == 1


def test_a_person_who_was_deactivated_since_the_start_is_nobody():
    olga = person("olga", "operators")
    change = meanwhile(lambda: User.objects.filter(username="olga").update(is_active=False))
    came = run(workflow(OPERATORS, first=change), principal=olga)
    assert "whose account is gone or not active" in came.nodes["act"].error["message"]


def test_a_second_factor_that_has_gone_stale_since_the_start_does_not_count():
    olga = person("olga", "operators", verified=timedelta(minutes=1))
    builder = WorkflowBuilder("stale").sleep("night", "2h")
    permissions = Permissions(required_roles=["operators"], require_mfa=True)
    built = builder.add_node("act", lambda ctx: 1, depends_on=["night"], permissions=permissions).build()
    came = run(built, principal=olga)
    assert "a second factor of olga that is not older than 1h" in came.nodes["act"].error["message"]


def test_a_device_that_was_lost_since_the_start_does_not_count():
    olga = person("olga", "operators", verified=timedelta(0))
    permissions = Permissions(require_mfa=True)
    change = meanwhile(lambda: TOTPDevice.objects.all().delete())
    came = run(workflow(permissions, first=change), principal=olga)
    assert came.nodes["act"].error["code"] == "node_denied"


def test_a_denied_node_goes_to_its_fallback():
    builder = WorkflowBuilder("rescued").add_node(
        "prepare", meanwhile(lambda: take_away("olga", "operators"))
    )
    builder.add_node("act", lambda ctx: 1, depends_on=["prepare"], permissions=OPERATORS, fallback="instead")
    built = builder.add_node("instead", lambda ctx: "safe").build()
    came = run(built, principal=person("olga", "operators"))
    assert (came.status, came.output) == ("succeeded", {"act": "safe"})


def test_each_item_of_a_map_is_asked_about():
    left = iter(range(10))

    def body(ctx):
        if next(left) == 1:
            take_away("olga", "operators")
        return ctx.item

    builder = WorkflowBuilder("wide").map("each", body, over=lambda ctx: [1, 2, 3], permissions=OPERATORS)
    came = run(builder.build(), principal=person("olga", "operators"))
    assert came.status == "failed"
    assert denials() == 1


def test_children_act_for_whom_their_parent_does_and_for_nobody_more():
    child = WorkflowBuilder("inner").add_node("act", lambda ctx: 1, permissions=OPERATORS).build()
    parent = WorkflowBuilder("outer").child("call", child).build()
    assert run(parent, principal=person("olga", "operators"), workflows=[child]).status == "succeeded"
    came = run(parent, principal=person("vera"), workflows=[child])
    assert "does not run for vera" in came.nodes["call"].error["message"]


# --- released --------------------------------------------------------------------------------------


@contextmanager
def stopped_at_the_question(permissions=ASKING, principal=None, **about):
    yield run(
        workflow(permissions, **about), principal=principal or person("vera"), input={"n": 1}, until=waits
    )


def test_a_denied_node_waits_until_somebody_who_is_admitted_releases_it():
    with stopped_at_the_question() as came:
        olga = person("olga", "operators")
        assert "operators to release “act”" in why_parked([asked()]).sentence
        assert [each.pk for each in queries.inbox(olga)] == [asked().pk]
        executor.approve(came.id, "act", principal=olga, wait=asked().pk, comment="checked")
        came = came.go_on()
    assert came.status == "succeeded"
    released = [event for event in came.events if event.get("data", {}).get("release")]
    assert [event["data"]["release"]["by"] for event in released] == ["olga"]
    assert AuditRecord.objects.filter(action="execution.release", outcome="allowed").count() == 1


def test_a_refusal_fails_the_node_and_says_whose_it_is():
    with stopped_at_the_question() as came:
        executor.reject(came.id, "act", principal=person("olga", "operators"), wait=asked().pk, comment="no")
        came = came.go_on()
    assert came.status == "failed"
    assert came.nodes["act"].error["message"].endswith("olga refused to release it: no")


def test_nobody_else_can_release_it():
    with stopped_at_the_question() as came, pytest.raises(Denied):
        executor.approve(came.id, "act", principal=person("vera"), wait=asked().pk)
    assert denials("execution.approve") == 1


def test_a_release_names_the_question_whose_input_was_shown():
    with stopped_at_the_question() as came, pytest.raises(InvalidOption, match="wait"):
        executor.approve(came.id, "act", principal=person("olga", "operators"))


def test_a_release_needs_the_second_factor_that_the_node_asks_for():
    with stopped_at_the_question(VERIFIED) as came:
        with pytest.raises(Denied) as denied:
            executor.approve(came.id, "act", principal=person("olga", "operators"), wait=asked().pk)
        assert denied.value.code == STEP_UP_REQUIRED
        token = replace(person("olga", verified=timedelta(0)), kind="token")
        with pytest.raises(Denied):
            executor.approve(came.id, "act", principal=token, wait=asked().pk)
        olga = person("olga", verified=timedelta(minutes=5))
        executor.approve(came.id, "act", principal=olga, wait=asked().pk)
        assert came.go_on().status == "succeeded"


def test_whom_it_runs_for_may_release_it_once_their_second_factor_has_answered():
    permissions = Permissions(require_mfa=True, on_denied="wait")
    with stopped_at_the_question(permissions) as came:
        vera = person("vera", verified=timedelta(0))
        executor.approve(came.id, "act", principal=vera, wait=asked().pk)
        assert came.go_on().status == "succeeded"


def test_who_released_it_and_has_lost_the_role_since_does_not_count():
    with stopped_at_the_question() as came:
        executor.approve(came.id, "act", principal=person("olga", "operators"), wait=asked().pk)
        take_away("olga", "operators")
        came = came.go_on(until=waits)
        assert asked().key == "#release 2"
        executor.approve(came.id, "act", principal=person("otto", "operators"), wait=asked().pk)
        assert came.go_on().status == "succeeded"


def test_another_input_than_was_shown_asks_again():
    with stopped_at_the_question() as came:
        executor.approve(came.id, "act", principal=person("olga", "operators"), wait=asked().pk)
        NodeRun.objects.filter(execution=came.id, node="act").update(input={"n": 2})
        came = came.go_on(until=waits)
        assert asked().key == "#release 2"


def test_a_retry_by_hand_asks_again():
    fails = iter([True, False])

    def body(ctx):
        if next(fails):
            raise ValueError("no")
        return "done"

    with stopped_at_the_question(body=body) as came:
        olga = person("olga", "operators")
        executor.approve(came.id, "act", principal=olga, wait=asked().pk)
        came = came.go_on()
        assert came.status == "failed"
        executor.retry(came.id, principal=olga)
        came = came.go_on(until=waits)
        executor.approve(came.id, "act", principal=olga, wait=asked().pk)
        assert came.go_on().status == "succeeded"


# --- no way round ----------------------------------------------------------------------------------


@pytest.mark.parametrize("decision", ["skip", "supply"])
def test_who_is_not_admitted_cannot_have_it_skipped_or_supplied(decision):
    with stopped_at_the_question() as came, pytest.raises(Denied, match="does not run for carl"):
        executor.attend(came.id, "act", decision, principal=person("carl"))
    assert waits(came)


def test_who_is_not_admitted_cannot_have_it_run_again_for_another():
    came = run(workflow(OPERATORS), principal=person("olga", "operators"))
    for node in ("act", "prepare"):
        with pytest.raises(Denied, match="does not run for carl"):
            executor.retry(came.id, principal=person("carl"), node=node)
    executor.retry(came.id, principal=person("otto", "operators"), node="act")


def test_a_fork_and_a_rerun_act_for_whoever_makes_them():
    came = run(workflow(OPERATORS), principal=person("olga", "operators"))
    registry.register(workflow(OPERATORS))
    try:
        for verb, about in ((executor.fork, ("act",)), (executor.rerun, ())):
            with pytest.raises(Denied, match="does not run for carl"):
                verb(came.id, *about, principal=person("carl"))
    finally:
        registry.forget("guarded")


# --- in the console and the API --------------------------------------------------------------------


def test_the_console_shows_the_input_to_who_may_release_it_and_takes_their_word(client):
    with stopped_at_the_question() as came:
        olga = User.objects.get(username=person("olga", "operators").name)
        olga.is_staff = False
        olga.save()
        client.force_login(olga)
        page = client.get("/approvals/").content.decode()
        assert "Release “act”" in page
        assert "prepared" in page, "what it will see"
        url = f"/approvals/{came.id}/{asked().pk}/"
        answer = client.post(url, {"node": "act", "decision": "approve", "reason": "checked"})
        assert answer.status_code == 302
        assert came.go_on().status == "succeeded"


def test_the_inspector_says_for_whom_a_node_runs(client):
    with stopped_at_the_question(VERIFIED) as came:
        client.force_login(factories.person("root"))
        page = client.get(f"/executions/{came.id}/?node=act").content.decode()
    assert "the role operators" in page
    assert "with a second factor not older than 1h" in page or "not older than 1 h" in page


def test_the_api_says_what_a_release_needs(client):
    with stopped_at_the_question(VERIFIED) as came:
        client.force_login(factories.person("root"))
        [waiting] = client.get("/api/v1/approvals/").json()["approvals"]
        assert (waiting["releases"], waiting["second_factor"]) == (True, 3600.0)
        client.force_login(User.objects.get(username=person("olga", "operators").name))
        refused = client.post(
            f"/api/v1/executions/{came.id}/approvals/",
            {"node": "act", "approved": True, "id": waiting["id"]},
            content_type="application/json",
        )
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, STEP_UP_REQUIRED)
