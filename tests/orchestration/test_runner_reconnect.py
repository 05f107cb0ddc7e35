"""How a lane begins anew with the database, after a body that was interrupted."""

from unittest import mock

import pytest
from django.db import OperationalError, connections, transaction

from orchestration.runner import sync_lane


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_then_is_an_error_that_a_lane_waits_out():
    ours = connections["default"]
    transaction.set_autocommit(False)  # what the body left open
    away = ours.Database.OperationalError("away")  # type: ignore[attr-defined]
    with (
        mock.patch.object(ours, "get_new_connection", side_effect=away),
        pytest.raises(OperationalError),  # Django's, not the driver's: that would end the worker process
    ):
        sync_lane._reconnect()
    ours.ensure_connection()
    assert not sync_lane._left_open()
