"""Child processes that end when they should: told, made to, or with their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def dying_with_parent(sign: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """Return a preexec_fn: the child gets the signal when this process ends, kill -9 included (on Linux).

    The kernel means the parent's *thread*: start such children from the main thread.
    """
    parent = os.getpid()

    def arrange() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, sign, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(1)

    return arrange


def start(
    command: Sequence[str], environment: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a child in a group of its own, which the terminal's Ctrl-C does not reach."""
    return subprocess.Popen(
        command, env=environment, start_new_session=True, preexec_fn=dying_with_parent(), **options
    )


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and all it started, and reap it."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def how_it_ended(returncode: int) -> str:
    """Say an exit code in words."""
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"
