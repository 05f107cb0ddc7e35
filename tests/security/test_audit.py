"""The audit."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from security import audit
from security.models import AuditRecord
from security.objects import Resource
from security.principals import Principal
from tests import factories

SWEEP = Principal.system("sweep")


def raw(sql: str) -> Callable[[], object]:
    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql)

    return run


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(lambda: AuditRecord.objects.update(outcome="allowed"), id="update through the ORM"),
        pytest.param(lambda: AuditRecord.objects.get().save(), id="save"),
        pytest.param(lambda: AuditRecord.objects.all().delete(), id="delete through the ORM"),
        pytest.param(lambda: AuditRecord.objects.get().delete(), id="delete of one"),
        pytest.param(raw("UPDATE security_auditrecord SET principal_name = 'eve'"), id="UPDATE"),
        pytest.param(raw("DELETE FROM security_auditrecord"), id="DELETE"),
        pytest.param(raw("TRUNCATE security_auditrecord"), id="TRUNCATE", marks=[pytest.mark.postgres]),
        pytest.param(
            raw("REPLACE INTO security_auditrecord SELECT * FROM security_auditrecord"),
            id="REPLACE",
            marks=[pytest.mark.sqlite],
        ),
        pytest.param(
            lambda: AuditRecord.objects.bulk_create(
                list(AuditRecord.objects.all()),
                update_conflicts=True,
                unique_fields=["id"],
                update_fields=["outcome"],
            ),
            id="upsert",
        ),
    ],
)
@pytest.mark.django_db
def test_a_written_record_cannot_be_changed_or_removed(attack: Callable[[], object]):
    audit.record(SWEEP, "secret.read", outcome="denied")
    before = AuditRecord.objects.values().get()
    with (
        pytest.raises(IntegrityError, match="append-only table security_auditrecord is refused"),
        transaction.atomic(),
    ):
        attack()
    assert AuditRecord.objects.values().get() == before


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", [1, 2])
def test_a_test_flush_empties_the_audit_and_the_triggers_are_back_after_it(round_: int):
    assert not AuditRecord.objects.exists()
    audit.record(SWEEP, "sweep")
    with pytest.raises(IntegrityError):
        AuditRecord.objects.all().delete()


@pytest.mark.django_db(transaction=True)
def test_a_record_commits_and_is_lost_with_its_act():
    with transaction.atomic():
        audit.record(SWEEP, "sweep")
        transaction.set_rollback(True)
    assert not AuditRecord.objects.exists()
    with transaction.atomic():
        audit.record(SWEEP, "sweep")
    assert AuditRecord.objects.exists()


@pytest.mark.django_db
def test_a_record_is_one_insert_and_so_are_many(group: Group, django_assert_num_queries):
    with django_assert_num_queries(1):
        record = audit.record(SWEEP, "group.changed", group, details={"from": "a", "to": "b"})
    assert record.at is not None, "the database's clock came back with the insert"
    many = [Resource("group", str(n), f"g{n} \0") for n in range(50)]
    principal = Principal(
        kind="token",
        id="t",
        name="it's",
        user_id=7,
        address="2001:db8::1",
        mfa_device="key",
        mfa_at=record.at,
    )
    with django_assert_num_queries(1), connection.cursor() as cursor:
        cursor.execute(*audit.statement(connection, principal, "group.cancelled", many, {"n": [1, "é"]}))
    last = AuditRecord.objects.filter(action="group.cancelled").latest("id")
    assert AuditRecord.objects.count() == 51
    assert (last.resource_type, last.resource_id, last.resource_name) == ("group", "49", "g49 \ufffd")
    assert (last.principal_name, last.user_id, last.address) == ("it's", 7, "2001:db8::1")
    assert (last.mfa_at, last.details, last.outcome) == (record.at, {"n": [1, "é"]}, "allowed")


@pytest.mark.django_db
def test_a_record_says_who_what_on_what_from_where(alice: User, group: Group):
    principal = Principal(kind="token", id="ab12", name="alice", user_id=alice.pk, address="2001:db8::1")
    record = AuditRecord.objects.get(
        pk=audit.record(principal, "group.changed", group, details={"n": [1]}).pk
    )
    assert (record.principal_kind, record.principal_id, record.user) == ("token", "ab12", alice)
    assert (record.address, record.resource_name, record.details) == ("2001:db8::1", "planners", {"n": [1]})


@pytest.mark.django_db
def test_a_hostile_text_cannot_keep_its_act_out_of_the_audit():
    nasty = "a\0b\ud800" + "x" * 5000
    principal = Principal(kind="user", id="1", name=nasty, address="not an address", user_agent=nasty)
    record = audit.record(
        principal, "x", Resource(nasty, nasty, nasty), details={nasty: [nasty, {"k": nasty}]}
    )
    record.refresh_from_db()
    assert len(record.principal_name) == 200
    assert record.address is None


@pytest.mark.django_db
def test_an_outcome_that_does_not_exist_is_refused():
    with pytest.raises(IntegrityError, match="security_auditrecord_outcome"), transaction.atomic():
        audit.record(SWEEP, "x", outcome="maybe")


@pytest.mark.django_db
def test_the_acts_of_a_deleted_person_stay_theirs(alice: User):
    number = alice.pk
    audit.record(Principal.for_user(alice), "x")
    alice.delete()
    record = AuditRecord.objects.get()
    assert (record.user_id, record.principal_name) == (number, "alice")


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_on_postgresql_a_record_knows_its_transaction():
    with transaction.atomic():
        first = audit.record(SWEEP, "x")
        second = audit.record(SWEEP, "x")
    third = audit.record(SWEEP, "x")
    assert first.txid == second.txid
    assert isinstance(first.txid, int)
    assert third.txid > first.txid
    assert AuditRecord.objects.filter(txid__lt=third.txid).count() == 2
    assert AuditRecord.objects.order_by("-txid").first() == third


@pytest.mark.sqlite
@pytest.mark.django_db
def test_on_sqlite_a_record_has_no_transaction_number():
    assert audit.record(SWEEP, "x").txid is None


@pytest.mark.django_db
def test_staff_read_the_audit_in_the_admin_and_change_nothing(staff: User, client: Client):
    client.force_login(staff)
    factories.verify(client)
    record = audit.record(SWEEP, "group.changed", Resource("auth.group", "1", "<b>planners</b>"))
    listed = client.get(reverse("admin:security_auditrecord_changelist"), {"q": "sweep"})
    assert "&lt;b&gt;planners&lt;/b&gt;" in listed.content.decode()
    detail = reverse("admin:security_auditrecord_change", args=[record.pk])
    assert client.get(detail).status_code == 200
    assert client.post(detail, {"action": "nothing"}).status_code == 403
    assert client.get(reverse("admin:security_auditrecord_add")).status_code == 403
    assert client.post(reverse("admin:security_auditrecord_delete", args=[record.pk])).status_code == 403
