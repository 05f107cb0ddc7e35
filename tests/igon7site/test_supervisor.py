"""Keeping processes running, and stopping them in time."""

import os
import signal
import sys
import threading
import time

import pytest

from igon7site.setup.supervisor import Child, GaveUp, Supervisor

pytestmark = pytest.mark.once

_SLEEP = "import time; time.sleep(60)"
_STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); " + _SLEEP


def _child(name: str, code: str) -> Child:
    return Child(name, [sys.executable, "-c", code])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_child_that_ends_again_and_again_is_given_up_by_name_and_the_others_are_stopped() -> None:
    said: list[str] = []
    steady = _child("web server", _SLEEP)
    with Supervisor([steady, _child("worker", "raise SystemExit(3)")], said.append) as supervisor:
        supervisor.start()
        assert steady.process is not None
        pid = steady.process.pid
        with pytest.raises(
            GaveUp, match=r"^The worker ended 4 times soon after its start, now with exit code 3\."
        ):
            supervisor.run()
    assert [line.partition(" It starts")[0] for line in said] == ["The worker ended (exit code 3)."] * 3
    assert not _is_alive(pid)


def test_a_child_that_is_killed_is_started_again() -> None:
    said: list[str] = []
    child = _child("worker", _SLEEP)
    with Supervisor([child], said.append) as supervisor:
        supervisor.start()
        assert child.process is not None
        first = child.process.pid
        os.kill(first, signal.SIGKILL)
        supervisor.run(until=lambda: child.process is not None and child.process.pid != first)
    assert said == ["The worker ended (killed by SIGKILL). It starts again in 0.5 s."]


@pytest.mark.alone
def test_a_child_that_ignores_the_request_to_stop_is_killed_within_three_seconds() -> None:
    child = _child("worker", _STUBBORN)
    with Supervisor([child], print) as supervisor:
        supervisor.start()
        assert child.process is not None
        pid = child.process.pid
        time.sleep(0.5)  # long enough for it to have turned a deaf ear; the test holds either way
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        supervisor.run()
        asked = time.monotonic()
    assert time.monotonic() - asked < 3
    assert not _is_alive(pid)
