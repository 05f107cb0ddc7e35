"""What travels to PostgreSQL without psycopg's cursors: it must bind, fail and recover as a cursor would."""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
from unittest import mock

import pytest
from django.db import DatabaseError, DataError, IntegrityError, OperationalError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from orchestration.store import clock, sql, wire
from orchestration.store.claim import claim

from .store_helpers import begin, seat

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

EPOCH = dt.datetime.fromtimestamp(0, dt.UTC).replace(tzinfo=None)
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


def one(text, *params):
    return sql.execute(connection, text, list(params))[0][0]


@given(word=WORDS, words=st.lists(st.none() | WORDS, max_size=5))
def test_any_text_arrives_as_it_was(word, words):
    assert sql.execute(connection, "SELECT %s::text, %s::text[]", [word, words]) == [(word, words)]


@given(number=st.integers(-(2**63), 2**63 - 1), numbers=st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_any_number_arrives_as_it_was(number, numbers):
    assert sql.execute(connection, "SELECT %s::bigint, %s::int[]", [number, numbers]) == [(number, numbers)]


@given(
    at=st.datetimes(min_value=EPOCH, timezones=st.just(dt.UTC)),
    id=st.uuids(),
)
def test_any_moment_and_id_arrive_as_they_were(at, id):
    rows = sql.records(connection, [(at, id)])
    text = (
        f"SELECT r.at, r.id, r.id = %s::uuid FROM {sql.recordset('postgresql', {'at': 'time', 'id': 'uuid'})}"
    )
    ((moment, back, same),) = sql.execute(connection, text.replace("= %s", "= %s", 1), [id, rows])
    assert (clock.read(moment), back, same) == (at, id, True)


def test_truths_nothing_and_a_percent_sign_arrive():
    text = "SELECT %s::boolean, %s::boolean, %s::text IS NULL, '100%%'"
    assert sql.execute(connection, text, [True, False, None]) == [(True, False, True, "100%")]


def test_a_nul_is_refused_before_it_could_cut_a_text_short():
    with pytest.raises(DataError, match="NUL"):
        one("SELECT %s::text", "a\0b")
    assert one("SELECT 1") == 1


def test_the_first_error_of_several_statements_is_told_and_nothing_of_them_stays():
    sql.execute(connection, "CREATE TEMPORARY TABLE kept (id int PRIMARY KEY)", [])
    insert = ("INSERT INTO kept VALUES (%s)", [1])
    with pytest.raises(IntegrityError, match="kept_pkey"):
        sql.run(connection, [insert, insert, ("SELECT 1/0", [])])
    assert one("SELECT count(*) FROM kept") == 0
    sql.run(connection, [insert])
    assert one("SELECT count(*) FROM kept") == 1


def test_a_text_that_cannot_be_prepared_is_an_error_each_time_and_no_more():
    for _ in range(2):
        with pytest.raises(DatabaseError, match="nowhere"):
            sql.run(connection, [("SELECT * FROM nowhere", []), ("SELECT 2", [])])
        assert sql.run(connection, [("SELECT 1", []), ("SELECT 2", [])]) == [[(1,)], [(2,)]]


def test_it_joins_a_transaction_of_django_and_begins_it_where_need_be():
    sql.execute(connection, "CREATE TEMPORARY TABLE joined (id int)", [])
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        sql.run(connection, [("INSERT INTO joined VALUES (1)", []), ("INSERT INTO joined VALUES (2)", [])])
        raise ZeroDivisionError
    assert one("SELECT count(*) FROM joined") == 0


def test_a_broken_transaction_of_django_is_told_by_django():
    with transaction.atomic():
        with pytest.raises(DatabaseError, match="by zero"):
            one("SELECT 1/0")
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            one("SELECT 1")


def test_a_wait_that_is_interrupted_leaves_a_connection_that_says_what_is_wrong():
    one("SELECT 1")
    exchange = wire.Wire.ask

    def interrupted(self, statements):
        waiting = exchange(self, statements)
        yield next(waiting)
        raise KeyboardInterrupt

    with mock.patch.object(wire.Wire, "ask", interrupted), pytest.raises(KeyboardInterrupt):
        one("SELECT pg_sleep(0.2)")
    with pytest.raises((OperationalError, DatabaseError)):
        one("SELECT 1")
    connection.close()
    assert one("SELECT 1") == 1


def test_plans_are_made_for_tables_that_have_grown():
    """A plan made for an empty table must use its index all the same, and keep to it."""
    connection.close()  # a session that has planned nothing yet
    sql.execute(connection, "CREATE TEMPORARY TABLE grows (id int PRIMARY KEY, word text)", [])
    text = "SELECT word FROM grows WHERE id = %s"
    sql.execute(connection, text, [1])
    sql.execute(connection, "INSERT INTO grows SELECT n, n::text FROM generate_series(1, 10000) n", [])
    for number in range(1, 8):
        assert sql.execute(connection, text, [number]) == [(str(number),)]
    name = one("SELECT name FROM pg_prepared_statements WHERE statement = %s", text.replace("%s", "$1"))
    plan = sql.execute(connection, f"EXPLAIN EXECUTE {name}(5)", [])
    assert "Index Scan using grows_pkey" in str(plan)
    assert one("SELECT generic_plans FROM pg_prepared_statements WHERE name = %s", name) >= 8
    with connection.cursor() as cursor:  # a cursor of Django's plans as it always did
        cursor.execute(
            "SELECT current_setting('enable_seqscan'), setting = reset_val FROM pg_settings WHERE name = 'jit'"
        )
        assert cursor.fetchone() == ("on", True)


@pytest.mark.parametrize("guarded", [False, True])
def test_what_was_planned_for_an_empty_table_is_planned_again_once_that_has_grown(guarded):
    """After an ANALYZE a plan may read one of an empty table's indexes whole: it costs as little as one row."""
    connection.close()
    with mock.patch.object(wire, "LOOK", 0.0 if guarded else 1000.0):
        with connection.cursor() as cursor:  # what tests before have deleted would still take room
            cursor.execute("TRUNCATE orchestration_noderun, orchestration_execution CASCADE")
            cursor.execute("ANALYZE orchestration_noderun, orchestration_execution")
        text = (
            "SELECT id FROM orchestration_noderun WHERE NOT superseded AND id = ANY(%s::bigint[]) ORDER BY id"
        )
        assert sql.execute(connection, text, [[1]]) == []
        begin({f"n{number}": [] for number in range(1000)})
        [first] = claim(seat(), 1)
        for _ in range(2):
            assert sql.execute(connection, text, [[first.run_id, -1]]) == [(first.run_id,)]
    names = "SELECT name FROM pg_prepared_statements WHERE statement = %s ORDER BY prepare_time"
    planned = sql.execute(connection, names, [text.replace("%s", "$1")])
    assert len(planned) == (2 if guarded else 1), "whether it was planned again"
    if guarded:
        plan = str(sql.execute(connection, f"EXPLAIN EXECUTE {planned[-1][0]}(NULL)", []))
        assert "Index Cond: (id = ANY ($1))" in plan, plan
    connection.close()


def test_a_connection_is_forgotten_once_it_is_closed():
    one("SELECT 1")
    gc.collect()
    known = len(wire._wires)
    for _ in range(5):
        connection.close()
        one("SELECT 1")
    gc.collect()
    assert len(wire._wires) <= known


def test_where_nothing_may_be_prepared_it_asks_all_the_same():
    connection.ensure_connection()
    plain = connection.connection
    before, plain.prepare_threshold = plain.prepare_threshold, None
    wire._wires.pop(plain, None)
    try:
        assert sql.run(connection, [("SELECT %s::int", [1]), ("SELECT %s::int", [2])]) == [[(1,)], [(2,)]]
        assert one("SELECT 3") == 3
        assert one("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE %s", "igon7%") == 0
    finally:
        plain.prepare_threshold = before
        wire._wires.pop(plain, None)


def test_counted_time_is_never_ahead_of_the_database():
    for _ in range(50):
        counted = clock.counted(connection)
        assert counted <= clock.now()
    with clock.ahead(3600):
        assert clock.counted(connection) > clock.now() - dt.timedelta(seconds=1)
