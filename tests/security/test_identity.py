"""Who somebody is: logging in with a second factor, setting one up, sessions, and the acts that ask again."""

from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from security import actions, second_factor
from security.models import AuditRecord, Role, UserSession
from security.principals import EVIDENCE, Principal
from security.web import step_up
from tests import factories

pytestmark = pytest.mark.django_db
LOGIN = {"username": "alice", "password": "wonderland"}


@pytest.fixture
def alice() -> User:
    return factories.person("alice")


def code_of(device: TOTPDevice) -> str:
    device.refresh_from_db()
    TOTPDevice.objects.filter(pk=device.pk).update(last_t=-1, throttling_failure_count=0)
    return f"{totp(device.bin_key):06}"


def phone_of(user: User) -> TOTPDevice:
    return TOTPDevice.objects.create(user=user, name="phone", confirmed=True)


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


# --- logging in ------------------------------------------------------------------------------------


def test_without_a_second_factor_the_password_is_enough(alice: User):
    client = Client()
    assert client.post("/login/", {**LOGIN, "next": "/workflows/"})["Location"] == "/workflows/"
    assert is_in(client)


def test_with_one_the_password_alone_opens_nothing(alice: User):
    device, client = phone_of(alice), Client()
    assert client.post("/login/", {**LOGIN, "next": "/workflows/"})["Location"] == "/login/code/"
    assert not is_in(client)
    assert client.get("/workflows/").status_code == 302
    assert client.post("/login/code/", {"code": "000000"}).status_code == 400
    assert not is_in(client)
    answer = client.post("/login/code/", {"code": code_of(device)})
    assert answer["Location"] == "/workflows/"
    assert is_in(client)
    assert client.session[EVIDENCE]["device"] == device.persistent_id
    recorded = list(AuditRecord.objects.order_by("id").values_list("action", "outcome"))
    assert recorded == [
        ("session.verify", "failed"),
        ("session.verify", "allowed"),
        ("session.login", "allowed"),
    ]


def test_a_code_counts_once(alice: User):
    device, code = phone_of(alice), ""
    for expected in (302, 400):
        client = Client()
        client.post("/login/", LOGIN)
        code = code or code_of(device)
        assert client.post("/login/code/", {"code": code}).status_code == expected


def test_a_recovery_code_counts_once(alice: User):
    phone_of(alice)
    kept = StaticDevice.objects.create(user=alice, name="recovery codes", confirmed=True)
    kept.token_set.create(token="abcdefghjk")
    for expected in (302, 400):
        client = Client()
        client.post("/login/", LOGIN)
        assert client.post("/login/code/", {"code": "ABCDE fghjk"}).status_code == expected


def test_a_password_that_was_given_and_no_code_lapses(alice: User, monkeypatch):
    device, client = phone_of(alice), Client()
    client.post("/login/", LOGIN)
    code, late = code_of(device), time.time() + 301
    monkeypatch.setattr("security.web.views.time.time", lambda: late)
    assert client.post("/login/code/", {"code": code})["Location"] == "/login/"
    assert not is_in(client)


def test_a_passkey_asked_for_after_a_password_is_not_enough_once_that_has_lapsed(alice: User, monkeypatch):
    phone_of(alice)
    client = Client()
    client.post("/login/", LOGIN)
    asked = client.post("/passkeys/begin/", {}, content_type="application/json")
    assert asked.json()["userVerification"] == "discouraged"
    later = time.time() + 6 * 60
    monkeypatch.setattr(time, "time", lambda: later)
    answer = client.post("/passkeys/answer/", {}, content_type="application/json")
    assert answer.json()["code"] == "invalid_state"
    assert not is_in(client)


def test_a_password_that_changed_meanwhile_does_not_count(alice: User):
    device, client = phone_of(alice), Client()
    client.post("/login/", LOGIN)
    alice.set_password("another one")
    alice.save()
    assert client.post("/login/code/", {"code": code_of(device)})["Location"] == "/login/"


def test_nobody_is_led_to_another_host(alice: User):
    for url in ("https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"):
        assert Client().post("/login/", {**LOGIN, "next": url})["Location"] == "/"


def test_who_fails_too_often_is_locked_out_and_told_so_whatever_the_account(alice: User):
    for name in ("alice", "nobody"):
        client = Client(REMOTE_ADDR="192.0.2.9")
        codes = [client.post("/login/", {"username": name, "password": "x"}).status_code for _ in range(11)]
        assert codes == [200] * 9 + [429] * 2, name
    assert client.post("/login/", LOGIN).status_code == 429, "the right password does not help"
    assert Client(REMOTE_ADDR="192.0.2.10").post("/login/", LOGIN).status_code == 302, (
        "nor does it hurt elsewhere"
    )
    factories.person("carol")
    assert client.post("/login/", {**LOGIN, "username": "carol"}).status_code == 302, "nor others there"


def test_a_locked_account_is_told_so_by_the_api_in_its_own_shape(alice: User):
    client = Client(REMOTE_ADDR="192.0.2.9")
    for _ in range(10):
        client.post("/login/", {"username": "alice", "password": "x"})
    answer = client.post("/api/v1/token/", LOGIN, content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "locked_out")


def test_the_admin_has_no_login_of_its_own(alice: User):
    client = Client()
    answer = client.get("/admin/", follow=True)
    assert answer.redirect_chain[-1][0] == "/login/?next=/admin/"
    client.force_login(factories.person("bob", staff=False))
    assert client.get("/admin/", follow=True).status_code == 403


# --- setting up a second factor --------------------------------------------------------------------


@pytest.fixture
def client(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def test_an_app_is_set_up_by_its_first_code_and_recovery_codes_are_shown_once(client: Client, alice: User):
    page = client.get("/account/second-factor/").content.decode()
    assert "data:image/svg+xml" in page
    device = TOTPDevice.objects.get(user=alice)
    assert not device.confirmed
    assert not second_factor.has_device(alice)
    assert client.post("/account/second-factor/", {"code": "000000"}).status_code == 400
    shown = client.post("/account/second-factor/", {"code": code_of(device)}).content.decode()
    codes = re.findall(r"<li>([a-z0-9]{10})</li>", shown)
    assert len(set(codes)) == 10
    assert second_factor.has_device(alice)
    assert second_factor.recovery_left(alice) == 10
    assert not any(code in client.get("/account/").content.decode() for code in codes)
    assert AuditRecord.objects.filter(action="device.add").count() == 1


def test_a_device_goes_only_once_another_factor_has_answered(client: Client, alice: User):
    device = phone_of(alice)
    url = "/account/second-factor/remove/"
    asked = client.post(url, {"device": device.persistent_id})
    assert asked["Location"].startswith("/account/step-up/")
    assert second_factor.has_device(alice)
    again = client.post(asked["Location"], {"code": code_of(device)}, follow=True)
    assert "What you had filled in is kept" in again.content.decode()
    assert second_factor.has_device(alice), "nothing is done before they say so"
    assert client.post(f"{asked['Location']}go-on/").status_code == 302
    assert not second_factor.has_device(alice)


def test_nobody_removes_anothers_device(client: Client, alice: User):
    other = phone_of(factories.person("bob", staff=False))
    factories.verify(client)
    assert client.post("/account/second-factor/remove/", {"device": other.persistent_id}).status_code == 404


def test_whose_role_asks_for_a_second_factor_can_do_nothing_before(alice: User, client: Client):
    Role.objects.filter(group=Group.objects.get(name="admin")).update(requires_mfa=True)
    assert client.get("/executions/")["Location"] == "/account/second-factor/"
    assert client.get("/api/v1/executions/").json()["error"]["code"] == "second_factor_missing"
    assert client.get("/account/second-factor/").status_code == 200
    assert "challenge" in client.post("/passkeys/new/begin/", {}, content_type="application/json").json()
    device = TOTPDevice.objects.get(user=alice)
    client.post("/account/second-factor/", {"code": code_of(device)})
    assert client.get("/executions/").status_code == 200


# --- acts that ask again ---------------------------------------------------------------------------


def grant(bob: User) -> dict[str, object]:
    from django.contrib.auth.models import Permission

    return {"tag": "money", "permission": Permission.objects.get(codename="view_workflow").pk, "user": bob.pk}


def test_a_sensitive_act_asks_for_the_factor_and_comes_back_to_that_act_alone(client: Client, alice: User):
    device = phone_of(alice)
    asked = client.post("/account/recovery-codes/")["Location"]
    assert client.get(asked).status_code == 200
    assert client.post(f"{asked}go-on/")["Location"] == asked, "not before the factor has answered"
    client.post(asked, {"code": code_of(device)})
    assert "recovery codes" in client.post(f"{asked}go-on/").content.decode().lower()
    assert client.post(f"{asked}go-on/").status_code == 404, "once"


def test_an_act_is_of_its_session(client: Client, alice: User):
    phone_of(alice)
    asked = client.post("/account/recovery-codes/")["Location"]
    other = Client()
    other.force_login(factories.person("bob"))
    factories.verify(other)
    assert other.get(asked).status_code == 404


def test_what_was_posted_is_not_readable_in_the_session(client: Client, alice: User):
    device = phone_of(alice)
    client.post("/account/second-factor/remove/", {"device": device.persistent_id, "note": "hush-hush"})
    assert "hush" not in str(client.session[step_up.KEY])


def test_evidence_is_good_for_ten_minutes(client: Client, alice: User):
    factories.verify(client)
    assert client.post("/account/recovery-codes/").status_code == 200
    session = client.session
    old = (timezone.now() - timedelta(minutes=10, seconds=1)).isoformat()
    session[EVIDENCE] = {**session[EVIDENCE], "at": old}
    session.save()
    assert client.post("/account/recovery-codes/").status_code == 302


def test_who_has_no_factor_is_led_to_one_and_then_back(client: Client, alice: User):
    asked = client.post("/account/recovery-codes/")["Location"]
    enrol = client.get(asked)["Location"]
    assert enrol.startswith("/account/second-factor/?act=")
    client.get(enrol)
    device = TOTPDevice.objects.get(user=alice)
    act = enrol.partition("=")[2]
    shown = client.post("/account/second-factor/", {"code": code_of(device), "act": act}).content.decode()
    assert f'href="{asked}"' in shown
    assert client.get(asked).status_code == 200


def test_the_principal_carries_the_evidence_and_a_token_does_not(rf, client: Client, alice: User):
    device = factories.verify(client)
    request = rf.get("/")
    request.session, request.user = client.session, alice
    principal = Principal.for_request(request)
    assert principal.mfa_device == device.persistent_id
    assert principal.mfa_at is not None


def test_every_sensitive_action_is_declared_so():
    sensitive = {action.name for action in actions.all_actions() if action.sensitive}
    assert {"grant.manage", "device.change"} <= sensitive


# --- sessions and passwords ------------------------------------------------------------------------


def test_sessions_are_listed_and_ended(client: Client, alice: User):
    other = Client(HTTP_USER_AGENT="Phone/1.0", REMOTE_ADDR="192.0.2.7")
    other.force_login(alice)
    other.get("/")
    page = client.get("/account/").content.decode()
    assert "192.0.2.7" in page
    assert str(other.session.session_key) not in page
    [which] = re.findall(r'name="session" value="([^"]+)"', page)
    client.post("/account/sessions/end/", {"session": which})
    assert other.get("/").status_code == 302
    assert client.get("/").status_code == 200
    assert AuditRecord.objects.get(action="session.end").details == {"sessions": 1}


def test_nobody_ends_anothers_session(client: Client, alice: User):
    other = Client()
    other.force_login(factories.person("bob"))
    other.get("/")
    client.post("/account/sessions/end/")
    assert other.get("/").status_code == 200


def test_a_new_password_ends_all_other_sessions(client: Client, alice: User):
    other = Client()
    other.force_login(alice)
    other.get("/")
    new = {
        "old_password": "wonderland",
        "new_password1": "a looking glass",
        "new_password2": "a looking glass",
    }
    assert client.post("/account/password/", {**new, "old_password": "x"}).status_code == 400
    assert client.post("/account/password/", new).status_code == 302
    assert client.get("/").status_code == 200
    assert other.get("/").status_code == 302
    assert UserSession.objects.filter(user=alice).count() == 1
    assert AuditRecord.objects.filter(action="password.change").count() == 1


def test_a_forgotten_password_says_nothing_of_who_has_an_account(alice: User, settings, mailoutbox):
    settings.IGON7_EMAIL_URL = "smtp://localhost"
    old = Client()
    old.force_login(alice)
    old.get("/")
    User.objects.filter(pk=alice.pk).update(email="alice@example.org")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("security.web.reset.Form.send_mail", lambda form, *a, **k: form._send(*a, **k))
        for address in ("alice@example.org", "nobody@example.org"):
            answer = Client().post("/forgotten/", {"email": address})
            assert (answer.status_code, answer["Location"]) == (302, "/forgotten/asked/")
    [message] = mailoutbox
    [path] = re.findall(r"http://testserver(/forgotten/\S+)", message.body)
    client = Client()
    form = client.get(path)["Location"]
    assert form.endswith("/set-password/")
    new = {"new_password1": "a looking glass", "new_password2": "a looking glass"}
    assert client.post(form, new).status_code == 302
    assert old.get("/").status_code == 302
    assert "too old" in Client().get(path, follow=True).content.decode()
    assert Client().post("/login/", {**LOGIN, "password": "a looking glass"}).status_code == 302


def test_the_administration_asks_again_before_it_changes_anything(client: Client, alice: User):
    device, bob = phone_of(alice), factories.person("bob", staff=False)
    asked = client.post("/admin/orchestration/taggrant/add/", grant(bob))["Location"]
    assert asked.startswith("/account/step-up/")
    client.post(asked, {"code": code_of(device)})
    assert client.post(f"{asked}go-on/").status_code == 302
    assert AuditRecord.objects.filter(action="admin.add").count() == 1


def test_an_administrator_resets_what_somebody_has_lost(alice: User, capsys):
    from django.core.management import call_command

    phone_of(alice)
    call_command("reset_mfa", "alice")
    assert "1 device of alice is removed." in capsys.readouterr().out
    assert not second_factor.has_device(alice)


def test_whose_role_asks_for_a_second_factor_has_no_token_without_one(alice: User):
    from rest_framework.authtoken.models import Token

    token, client = Token.objects.create(user=alice), Client()
    headers = {"Authorization": f"Token {token.key}"}
    assert client.get("/api/v1/executions/", headers=headers).status_code == 200
    Role.objects.filter(group=Group.objects.get(name="admin")).update(requires_mfa=True)
    refused = client.get("/api/v1/executions/", headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "second_factor_missing")
    assert client.post("/api/v1/token/", LOGIN, content_type="application/json").status_code == 401
    phone_of(alice)
    assert client.get("/api/v1/executions/", headers=headers).status_code == 200
