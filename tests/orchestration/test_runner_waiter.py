"""How an idle lane waits."""

import psycopg
import pytest
from django.db import DatabaseError, connection

from orchestration.runner.waiter import Waiter


def _wait_until_it_notices(waiter):
    for _ in range(50):  # the server's last words come first, and the end of the connection after them
        waiter.wait(0.1)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_session_that_the_server_ends_is_an_error_that_a_lane_waits_out():
    waiter = Waiter("sync")
    waiter.prepare()
    parameters = connection.get_connection_params()
    own = {name: parameters[name] for name in ("dbname", "user", "password", "host") if parameters.get(name)}
    with psycopg.connect(**own, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
    try:
        with pytest.raises(DatabaseError):
            _wait_until_it_notices(waiter)
    finally:
        waiter.close()
        connection.close()
