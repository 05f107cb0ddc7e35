"""Where an act's record cannot be written, the act does not happen: by whatever door it comes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.db import connection
from django.test import Client
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from security.models import UserSession
from security.principals import Principal
from security.secrets import writing
from tests import factories

from .access_table import ACCOUNT, API, CONSOLE
from .test_access import ask, remember_no_rows, things  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
TABLES = ("orchestration", "security", "auth", "authtoken", "guardian", "otp_totp", "otp_static")
OLD, NEW = "an-old-and-long-password", "a-long-and-new-password"
# What says who is there, or begins what a later act confirms, changes nothing yet.
BEGINS = {"POST login", "POST logout", "POST api:token", "POST enrol"}
_TRIGGER = "CREATE TRIGGER no_more BEFORE INSERT ON {} BEGIN SELECT RAISE(ABORT, 'no more records'); END"
FULL = {
    "postgresql": (
        "ALTER TABLE {} ADD CONSTRAINT no_more CHECK (false) NOT VALID",
        "ALTER TABLE {} DROP CONSTRAINT no_more",
    ),
    "sqlite": (_TRIGGER, "DROP TRIGGER no_more"),
}


@contextmanager
def no_record() -> Iterator[None]:
    """Let the database refuse every record, whoever writes it and however."""
    refuse, admit = (text.format("security_auditrecord") for text in FULL[connection.vendor])
    with connection.cursor() as cursor:
        cursor.execute(refuse)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(admit)


def everything() -> dict[str, list[str]]:
    models = [
        model
        for label in TABLES
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
    ]
    kept = {each._meta.label: sorted(map(repr, each._default_manager.values_list())) for each in models}
    return kept | {"security.UserSession": sorted(UserSession.objects.values_list("session_key", flat=True))}


@pytest.fixture
def root() -> Client:
    me = User.objects.create_superuser("root", password=OLD)
    Client().force_login(me)  # a session elsewhere
    client = Client(raise_request_exception=False)
    client.force_login(me)
    factories.verify(client)
    client.get("/account/")  # which notes the session's use
    return client


def test_no_door_of_the_access_table_changes_anything(root: Client, things: dict[str, Any]) -> None:  # noqa: F811
    rows = [row for row in {**CONSOLE, **API, **ACCOUNT} if row.startswith("POST") and row not in BEGINS]
    reached, before = 0, everything()
    for row in rows:
        with no_record():
            reached += ask(root, row, things, {}).status_code == 500
        assert everything() == before, row
    assert reached >= 15, "the others are refused before they act"


TWICE = {"new_password1": NEW, "new_password2": NEW}
BY_ADMIN = {"password1": NEW, "password2": NEW, "usable_password": "true"}
CHANGED = {"username": "bob", "is_active": "on", "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
ACTS: dict[str, tuple[str, dict[str, Any]]] = {
    "password": ("/account/password/", {"old_password": OLD, **TWICE}),
    "forgotten": ("/forgotten/{bob64}/set-password/", TWICE),
    "session": ("/account/sessions/end/", {}),
    "recovery codes": ("/account/recovery-codes/", {}),
    "person's role": ("/people/{bob}/roles/", {"role": "viewer", "do": "give"}),
    "admin: password": ("/admin/auth/user/{bob}/password/", BY_ADMIN),
    "admin: new person": ("/admin/auth/user/add/", {"username": "eve", **BY_ADMIN}),
    "admin: person": ("/admin/auth/user/{bob}/change/", {**CHANGED, "is_staff": "on"}),
    "admin: no person": ("/admin/auth/user/{bob}/delete/", {"post": "yes"}),
    "secret": ("/secrets/new/", {"name": "other", "value": "correct-horse"}),
    "secret's version": ("/secrets/api-key/version/", {"value": "another-value"}),
    "no version": ("/secrets/api-key/disable/2/", {}),
    "no secret": ("/secrets/api-key/delete/", {"confirm": "api-key"}),
}


@pytest.mark.parametrize("act", ACTS)
def test_an_act_about_people_or_secrets_happens_with_its_record_alone(act: str, root: Client) -> None:
    bob = User.objects.create_user("bob", password=OLD)
    for value in ("correct-horse", "battery-staple"):
        writing.put(Principal.for_shell(), "api-key", value)
    bob64 = urlsafe_base64_encode(force_bytes(bob.pk))
    root.get(f"/forgotten/{bob64}/{default_token_generator.make_token(bob)}/")
    path, given = ACTS[act]
    where, before = path.format(bob=bob.pk, bob64=bob64), everything()
    with no_record():
        assert root.post(where, given).status_code == 500, "it came as far as its record"
    assert everything() == before
    assert root.post(where, given).status_code in (200, 302)
    after = everything()
    assert after != before | {"security.AuditRecord": after["security.AuditRecord"]}
