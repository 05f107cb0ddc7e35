"""The audit's chain: sealing, what an owner of the database may try, and moving old parts to files."""

from __future__ import annotations

import gzip
import json
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, connection, connections, transaction
from django.test import override_settings
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from security import audit, chain, heads, sealing
from security.archive import archive
from security.models import AuditRecord, AuditSeal, AuditSegment
from security.principals import Principal
from security.testing import _statements
from security.verify import verify

pytestmark = pytest.mark.django_db(transaction=True)
ME = Principal.system("tests")


@pytest.fixture(autouse=True)
def _apart(tmp_path):
    with override_settings(
        VAR=tmp_path,
        IGON7_AUDIT_KEY="",
        IGON7_AUDIT_HEADS=tmp_path / "heads.jsonl",
        IGON7_AUDIT_ARCHIVE=tmp_path / "archive",
    ):
        yield


def record(count: int = 1) -> None:
    for number in range(count):
        audit.record(ME, "tests.act", details={"number": number, "text": "é\u2028", "share": 0.5})


def sealed(count: int) -> None:
    record(count)
    while sealing.seal():
        pass
    sealing.sign_head(now=True)


@contextmanager
def attacking():
    """Be somebody who owns the database: without the triggers."""
    lift, restore = _statements(connection)
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in lift:
            cursor.execute(statement)
        yield cursor
        for statement in restore:
            cursor.execute(statement)


def wrong() -> tuple[str, int | None]:
    problem = verify().problems[0]
    return problem.kind, problem.position


# --- sealing ---------------------------------------------------------------------------------------


def test_what_is_recorded_is_sealed_in_order_and_holds():
    sealed(5)
    assert [seal.position for seal in AuditSeal.objects.order_by("position")] == [1, 2, 3, 4, 5]
    record(2)
    assert sealing.seal() == 2
    report = verify()
    assert (report.holds, report.sealed, report.heads, report.position) == (True, 7, 1, 7)
    assert sealing.seal() == 0


def test_the_table_of_seals_only_grows():
    sealed(2)
    for act in (AuditSeal.objects.all().delete, lambda: AuditSeal.objects.update(digest="x")):
        with pytest.raises(IntegrityError), transaction.atomic():
            act()
    with pytest.raises(IntegrityError), transaction.atomic():
        AuditRecord.objects.all().delete()


def both(act) -> list[object]:
    """Run it on two connections at once, and return what each came to."""
    barrier, came = threading.Barrier(2), list[object]()

    def run() -> None:
        try:
            barrier.wait(5)
            came.append(act())
        except Exception as error:
            came.append(type(error))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return came


@pytest.mark.postgres
def test_two_who_seal_at_once_make_one_chain():
    record(400)
    together = threading.Barrier(2)
    original, late = sealing.tip, threading.local()

    def tip(using):
        found = original(using)
        if not getattr(late, "waited", False):
            late.waited = True
            together.wait(5)  # both have read the same end of the chain
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sealing, "tip", tip)
        came = both(lambda: sealing.seal(400, guarded=False))
    assert sorted(map(str, came)) == ["400", str(IntegrityError)], "without the guard they collide"
    record(400)
    assert sum(n for n in both(lambda: sealing.seal(400)) if isinstance(n, int)) == 400
    assert verify().holds


@pytest.mark.postgres
def test_what_commits_late_is_sealed_after_what_was_sealed_meanwhile():
    late, ready, go = [], threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            late.append(audit.record(ME, "tests.late").pk)
            ready.set()
            go.wait(10)
        connections.close_all()

    thread = threading.Thread(target=slow)
    thread.start()
    ready.wait(10)
    record(3)
    assert sealing.seal() == 0, "nothing is sealed past a transaction that may still write"
    go.set()
    thread.join(10)
    assert sealing.seal() == 4
    assert AuditSeal.objects.get(position=1).record == late[0]
    assert verify().holds


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans(), max_size=4))
@pytest.mark.django_db(transaction=False)
def test_equal_records_have_one_text_and_others_another_digest(details):
    one = chain.canonical(dict(sorted(details.items())))
    assert one == chain.canonical(dict(sorted(details.items(), reverse=True)))
    base = chain.digest(chain.GENESIS, 1, {"details": details})
    assert base != chain.digest(chain.GENESIS, 2, {"details": details})
    assert base != chain.digest(base, 1, {"details": details})
    assert base != chain.digest(chain.GENESIS, 1, {"details": {**details, "more": 1}})


# --- what an attacker may try ----------------------------------------------------------------------


def test_an_edit_shows():
    sealed(5)
    with attacking() as cursor:
        cursor.execute(
            "UPDATE security_auditrecord SET principal_name = 'mallory' WHERE id = %s", [_record(3)]
        )
    assert wrong() == ("edited", 3)


def test_a_deletion_shows():
    sealed(5)
    with attacking() as cursor:
        cursor.execute("DELETE FROM security_auditrecord WHERE id = %s", [_record(2)])
    assert wrong() == ("deleted", 2)


def test_a_deletion_with_its_seal_shows():
    sealed(5)
    with attacking() as cursor:
        cursor.execute("DELETE FROM security_auditrecord WHERE id = %s", [_record(2)])
        cursor.execute("DELETE FROM security_auditseal WHERE position = 2")
    assert wrong() == ("missing", 2)


def test_an_insertion_shows():
    sealed(3)
    ids = [seal.record for seal in AuditSeal.objects.order_by("position")]
    with attacking() as cursor:
        cursor.execute("UPDATE security_auditseal SET record = %s WHERE position = 3", [ids[2] + 50])
        cursor.execute("UPDATE security_auditrecord SET id = %s WHERE id = %s", [ids[2] + 50, ids[2]])
        names = ", ".join(
            str(field.column) for field in AuditRecord._meta.concrete_fields if field.name != "id"
        )
        cursor.execute(
            f"INSERT INTO security_auditrecord (id, {names}) SELECT %s, {names} FROM security_auditrecord"
            " WHERE id = %s",
            [ids[1] + 1, ids[0]],
        )
    assert {"inserted", "edited"} <= {problem.kind for problem in verify().problems}


def test_records_that_change_places_show():
    sealed(4)
    first, second = _record(1), _record(2)
    with attacking() as cursor:
        for old, new in ((1, 100), (2, 1), (100, 2)):
            cursor.execute("UPDATE security_auditseal SET position = %s WHERE position = %s", [new, old])
    assert (first, second) == (_record(2), _record(1))
    assert wrong() == ("edited", 1)


def test_new_numbers_show():
    sealed(4)
    with attacking() as cursor:
        cursor.execute("UPDATE security_auditseal SET position = position + 10")
    assert wrong() == ("missing", 1)


def test_what_is_cut_short_shows_by_its_head():
    sealed(5)
    with attacking() as cursor:
        cursor.execute("DELETE FROM security_auditrecord WHERE id >= %s", [_record(4)])
        cursor.execute("DELETE FROM security_auditseal WHERE position >= 4")
    assert wrong() == ("truncated", 5)


def test_a_chain_that_is_written_anew_from_the_first_record_shows_by_its_head():
    sealed(5)
    with attacking() as cursor:
        cursor.execute(
            "UPDATE security_auditrecord SET principal_name = 'mallory' WHERE id = %s", [_record(2)]
        )
        previous = chain.GENESIS
        for seal in AuditSeal.objects.order_by("position"):
            row = AuditRecord.objects.values(*chain.FIELDS).get(pk=seal.record)
            previous = chain.digest(previous, seal.position, chain.contents(row))
            cursor.execute(
                "UPDATE security_auditseal SET digest = %s WHERE position = %s", [previous, seal.position]
            )
    assert wrong() == ("rewritten", 5)


def test_a_chain_that_is_grown_anew_until_its_head_is_signed_again_shows():
    sealed(5)
    with attacking() as cursor:
        cursor.execute("DELETE FROM security_auditrecord")
        cursor.execute("DELETE FROM security_auditseal")
    sealing.sign_head()  # as the periodic job does when it finds the chain shorter
    sealed(5)
    assert [head["position"] for head in heads.read()] == [5, 0, 5]
    assert wrong() == ("rewritten", 5)


def test_the_newest_head_is_found_at_the_end_of_a_long_file():
    sealed(1)
    line = heads.heads_file().read_text()
    heads.heads_file().write_text("no head\n" * 20_000 + line + line[:50])
    assert (heads.last() or {})["position"] == 1


def test_a_head_that_another_key_signed_shows(tmp_path):
    sealed(2)
    key = heads.public_key()
    with override_settings(IGON7_AUDIT_KEY="A" * 43 + "=", VAR=tmp_path / "elsewhere"):
        heads.write(9, "f" * 64, timezone.now().isoformat())
    assert verify(key=key).problems[0].kind == "forged"


def test_a_segment_that_nobody_archived_lets_records_go_and_shows():
    sealed(3)
    AuditSegment.objects.create(
        first=1, last=2, last_record=_record(2), previous=chain.GENESIS, digest="0" * 64, file="-", sha256="-",
        signature="-",
    )  # fmt: skip
    AuditRecord.objects.filter(pk__in=[_record(1), _record(2)]).delete()
    assert verify().problems[0].kind == "forged"


def _record(position: int) -> int:
    return AuditSeal.objects.get(position=position).record


# --- files -----------------------------------------------------------------------------------------


def test_an_archived_segment_leaves_the_table_and_the_chain_holds_on():
    sealed(5)
    later = timezone.now() + timedelta(hours=1)
    [first, second] = archive(later, ME, most=3)
    assert (first.first, first.last, second.first, second.last) == (1, 3, 4, 5)
    assert [row.action for row in AuditRecord.objects.order_by("id")] == ["audit.archive"] * 2
    sealed(2)
    files = [first.file, second.file]
    report = verify(archives=list(map(_path, files)))
    assert (report.holds, report.archived, report.sealed) == (True, 5, 4)
    assert (heads.last() or {})["position"] == 9


def test_a_file_that_was_changed_shows():
    sealed(3)
    [segment] = archive(timezone.now() + timedelta(hours=1), ME)
    path = _path(segment.file)
    lines = gzip.decompress(path.read_bytes()).decode().strip().split("\n")
    link = json.loads(lines[1])
    link["record"]["principal_name"] = "mallory"
    lines[1] = json.dumps(link)
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert [problem.kind for problem in verify(archives=[path]).problems] == ["forged"]


def test_nothing_is_archived_from_a_chain_that_does_not_hold():
    sealed(3)
    with attacking() as cursor:
        cursor.execute("UPDATE security_auditrecord SET action = 'x' WHERE id = %s", [_record(1)])
    with pytest.raises(RuntimeError, match="position 1"):
        list(archive(timezone.now() + timedelta(hours=1), ME))
    assert AuditRecord.objects.count() == 3


def _path(file: str):
    return settings.IGON7_AUDIT_ARCHIVE / file.rpartition("/")[2]


def test_the_commands_say_so(capsys):
    sealed(3)
    call_command("verify_audit")
    assert "The chain holds: 3 records to position 3, 1 heads" in capsys.readouterr().out
    call_command("export_audit")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("position") for line in lines] == [1, 2, 3, None]
    with attacking() as cursor:
        cursor.execute("DELETE FROM security_auditrecord WHERE id = %s", [_record(2)])
    with pytest.raises(CommandError, match="at position 2, was deleted") as caught:
        call_command("verify_audit")
    assert caught.value.returncode == 1
