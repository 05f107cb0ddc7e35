"""Who acts."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.test import RequestFactory
from rest_framework.authtoken.models import Token

from security.principals import Principal


def request_of(user: User | AnonymousUser, token: Token | None = None):
    request = RequestFactory().get("/", headers={"User-Agent": "Mosaic/1.0"}, REMOTE_ADDR="192.0.2.7")
    request.user = user
    if token:
        request.__dict__["auth"] = token
    return request


def test_a_principal_survives_being_kept_as_json():
    principal = Principal(
        kind="user",
        id="7",
        name="alice",
        user_id=7,
        roles=("admin", "operator"),
        is_staff=True,
        mfa_device="otp_totp.totpdevice/1",
        mfa_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        address="192.0.2.7",
        user_agent="Mosaic/1.0",
    )
    assert Principal.from_json(principal.to_json()) == principal


def test_json_that_is_no_principal_is_refused_by_name():
    with pytest.raises(ValueError, match="'root'"):
        Principal.from_json({**Principal.system("sweep").to_json(), "kind": "root"})
    with pytest.raises(ValueError, match="'roles'"):
        Principal.from_json(dict.fromkeys(("id", "name", "mfa_at")) | {"kind": "user"})


def test_a_session_makes_a_user_with_roles_and_origin(alice: User, group: Group):
    alice.groups.add(group)
    principal = Principal.for_request(request_of(alice))
    assert (principal.kind, principal.id, principal.name) == ("user", str(alice.pk), "alice")
    assert principal.roles == ("planners",)
    assert (principal.address, principal.user_agent) == ("192.0.2.7", "Mosaic/1.0")


def test_a_token_acts_as_its_owner_and_its_key_stays_out_of_the_principal(alice: User):
    token = Token.objects.create(user=alice)
    principal = Principal.for_request(request_of(alice, token))
    assert (principal.kind, principal.name, principal.user_id) == ("token", "alice", alice.pk)
    assert token.key not in str(principal.to_json())
    assert not principal.is_staff


def test_a_socket_acts_for_its_session_and_asks_the_database_each_time(alice: User):
    scope = {"user": alice, "client": ("192.0.2.7", 50000), "headers": [(b"user-agent", b"Mosaic/1.0")]}
    principal = Principal.for_scope(scope)
    assert principal == Principal.for_user(alice, request_of(alice))
    assert principal.person() is not alice
    assert Principal.for_scope({**scope, "user": AnonymousUser()}).kind == "anonymous"


def test_a_login_in_mid_request_makes_another_principal(alice: User):
    request = request_of(AnonymousUser())
    assert Principal.for_request(request).kind == "anonymous"
    request.user = alice
    assert Principal.for_request(request).kind == "user"


def test_the_shell_is_named_after_the_os_account_and_not_the_environment(monkeypatch: pytest.MonkeyPatch):
    true_name = Principal.for_shell().name
    monkeypatch.setenv("LOGNAME", "mallory")
    monkeypatch.setenv("USER", "mallory")
    assert Principal.for_shell().name == true_name
    assert true_name.startswith("shell:")
    assert Principal.for_shell().kind == "system"
