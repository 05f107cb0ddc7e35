"""A process that is halted in the midst of what it says to PostgreSQL keeps its locks until its session is ended."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection
from django.test import override_settings

from orchestration.models import NodeRun
from orchestration.runner import sweep
from orchestration.store import halted, leases, sql
from orchestration.store.claim import claim
from orchestration.store.locked import lock_statement
from tests.cluster import wait_until

from .store_helpers import begin, nodes, seat

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


@pytest.fixture(autouse=True)
def _short_lease() -> Iterator[None]:
    with override_settings(IGON7_LEASE_SECONDS=0.4):
        yield
    connection.close()  # with what the keeper has set for its session


@contextmanager
def _other():
    other = connection.copy()
    other.ensure_connection()
    try:
        yield other
    finally:
        other.connection.close()


@contextmanager
def _halted(id: uuid.UUID) -> Iterator[None]:
    """Lock the execution, and stop in the midst of the transaction's second turn, as between two pieces of 8 KiB."""
    with _other() as other:
        sql.run(other, [("BEGIN", []), lock_statement(other, [id])])
        pg = other.connection.pgconn
        pg.enter_pipeline_mode()
        pg.send_query_params(b"UPDATE orchestration_noderun SET status = status WHERE false", None)
        pg.flush()
        yield


def _is_locked(id: uuid.UUID) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM orchestration_execution WHERE id = %s FOR UPDATE NOWAIT", [id])
    except OperationalError:
        return True
    return False


def _wait_half_a_lease() -> None:
    over = time.monotonic() + 0.4
    wait_until(lambda: time.monotonic() > over)


def test_the_limit_for_idle_transactions_does_not_end_a_session_that_is_halted_in_mid_sentence():
    id = begin({"a": []})
    with _halted(id):
        _wait_half_a_lease()
        assert _is_locked(id), "the server ends it by itself: nothing of ours is needed any more"


def test_a_session_that_is_halted_in_mid_sentence_is_ended_after_half_a_lease():
    id = begin({"a": []})
    with _halted(id):
        assert halted.end_halted() == 0, "it may be late"
        _wait_half_a_lease()
        assert halted.end_halted() == 1
        wait_until(lambda: not _is_locked(id), what="the lock is there for others")


def test_a_brief_wait_for_a_lock_ends_before_whoever_is_idle_with_it_is_ended():
    """Else those who are stopped while they wait would keep it one after the other, for half a lease each."""
    id = begin({"a": []})
    with _other() as first, _other() as second:
        sql.run(first, [("BEGIN", []), lock_statement(first, [id])])
        with pytest.raises(OperationalError, match="lock timeout"):
            sql.run(second, [("BEGIN", []), lock_statement(second, [id], brief=True)])


def test_a_copy_that_waits_for_its_client_is_left_alone():
    copying = "COPY orchestration_workernode (name) FROM STDIN"
    with _other() as other, other.connection.cursor() as cursor, cursor.copy(copying):
        _wait_half_a_lease()
        assert halted.end_halted() == 0


def test_the_sweep_takes_up_other_leases_while_one_execution_is_locked():
    first, second = sorted(begin({"a": []}) for _ in range(2))
    assert len(claim(seat(lease=0.001), 8)) == 2
    halted.wait_briefly()
    with _halted(first):
        sweep.settle_lost(leases.expired())
        assert (nodes(first)["a"], nodes(second)["a"]) == ("running", "ready")
        _wait_half_a_lease()
        assert halted.end_halted() == 1
        sweep.settle_lost(leases.expired())
    assert not NodeRun.objects.filter(status="running").exists()
