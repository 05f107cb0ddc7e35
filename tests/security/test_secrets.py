"""Secrets at rest: encrypted, versioned, rotated, and never given back by what changes them."""

import io

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from security.errors import Denied
from security.models import AuditRecord
from security.principals import Principal
from security.secret_models import Secret, SecretVersion
from security.secrets import backends, rotation, writing
from security.secrets.errors import KeyMissing, SecretError

VALUE = "correct-horse-battery"
SHELL = Principal.system("test")
pytestmark = pytest.mark.django_db


@pytest.fixture
def keys(settings):
    settings.IGON7_SECRET_KEYS = [Fernet.generate_key().decode()]
    return settings


def test_a_value_is_kept_encrypted_and_recorded_without_it():
    writing.put(SHELL, "api-key", VALUE)
    assert VALUE not in SecretVersion.objects.get().ciphertext
    assert backends.find("api-key") == (VALUE, 1)
    record = AuditRecord.objects.get(action="secret.set")
    assert VALUE not in str(record.details)
    assert record.resource_name == "api-key"


def test_the_newest_version_that_is_not_disabled_is_read():
    writing.put(SHELL, "api-key", VALUE)
    writing.put(SHELL, "api-key", "another-value")
    writing.disable(SHELL, Secret.objects.get(), 2)
    assert backends.find("api-key") == (VALUE, 1)
    with pytest.raises(SecretError, match="no version 2"):
        writing.disable(SHELL, Secret.objects.get(), 2)


@pytest.mark.parametrize(
    ("name", "value"), [("../x", VALUE), ("x\n", VALUE), ("x", "tiny!"), ("x", "a\0bcdefgh")]
)
def test_names_and_values_that_cannot_be_are_refused_without_being_repeated(name, value):
    with pytest.raises(SecretError) as refused:
        writing.put(SHELL, name, value)
    assert value not in str(refused.value)


def test_somebody_without_a_grant_changes_nothing_and_that_is_recorded(django_user_model):
    ada = Principal.for_user(django_user_model.objects.create_user("ada"))
    with pytest.raises(Denied):
        writing.put(ada, "api-key", VALUE)
    assert not Secret.objects.exists()
    assert AuditRecord.objects.filter(action="secret.change", outcome="denied").count() == 1


def test_rotation_goes_on_where_it_was_stopped(keys):
    for number in range(5):
        writing.put(SHELL, f"s{number}", VALUE)
    keys.IGON7_SECRET_KEYS = [Fernet.generate_key().decode(), *keys.IGON7_SECRET_KEYS]
    assert next(rotation.rotate(2)) == 2  # and then it is killed
    assert rotation.left() == 3
    call_command("rotate_secrets", "--batch", "2", stdout=io.StringIO())
    keys.IGON7_SECRET_KEYS = keys.IGON7_SECRET_KEYS[:1]
    assert [backends.find(f"s{number}") for number in range(5)] == [(VALUE, 1)] * 5


def test_rotation_refuses_and_names_what_it_cannot_decrypt(keys):
    writing.put(SHELL, "lost", VALUE)
    keys.IGON7_SECRET_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match="Version 1 of the secret “lost”"):
        call_command("rotate_secrets", stdout=io.StringIO())
    with pytest.raises(KeyMissing, match="“lost”"):
        backends.find("lost")


def test_a_ciphertext_put_in_the_place_of_another_is_refused():
    writing.put(SHELL, "mine", VALUE)
    writing.put(SHELL, "theirs", "their-own-value")
    theirs = SecretVersion.objects.get(secret__name="theirs").ciphertext
    SecretVersion.objects.filter(secret__name="mine").update(ciphertext=theirs)
    with pytest.raises(KeyMissing):
        backends.find("mine")


def test_files_and_the_environment_are_read_and_no_path_leads_out(settings, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "db-password").write_text(VALUE + "\n")
    (tmp_path / "outside").write_text(VALUE)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "outside")
    settings.IGON7_SECRETS_DIR = str(tmp_path / "in")
    monkeypatch.setenv("IGON7_SECRET_API_KEY", VALUE)
    monkeypatch.setenv("IGON7_SECRET_KEYS", "never-a-secret-of-anybody")
    assert backends.find("db-password") == backends.find("api-key") == (VALUE, 0)
    assert [backends.find(name) for name in ("link", "../outside", "keys", "key")] == [None] * 4


def test_the_command_reads_from_stdin_and_lists_no_value(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(VALUE + "\n"))
    out = io.StringIO()
    call_command("secrets", "set", "api-key", "--rotate-days", "90", stdout=out)
    call_command("secrets", "list", stdout=out)
    assert "api-key: version 1, never used" in out.getvalue()
    assert VALUE not in out.getvalue()
