"""Keeps a few processes running, and stops them all within a deadline."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

from igon7site.setup import processes

_TICK = 0.1  # how late a death or a Ctrl-C may be noticed
_HEALTHY_AFTER = 10.0  # a child that lived so long may fail again without being given up
_GIVE_UP_AFTER = 4  # deaths in a row, each before _HEALTHY_AFTER
_LONGEST_PAUSE = 30.0
_STOP_WITHIN = 2.2
_STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class GaveUp(Exception):
    """A child ended again and again."""


@dataclass
class Child:
    """One process to keep running: its name as people read it, and its command."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restart_at: float = 0.0
    early_deaths: int = 0

    def start(self) -> None:
        self.process = processes.start(self.command)
        self.started = time.monotonic()

    def ended(self) -> int | None:
        """Return the exit code once, when the process has ended since the last look."""
        if self.process is None or self.process.poll() is None:
            return None
        # What it started must not outlive it: a new one is about to take its place.
        returncode = self.process.returncode
        processes.kill_group(self.process)
        self.process = None
        return returncode


@dataclass
class Supervisor:
    """Starts children, restarts those that end, stops all on SIGINT and SIGTERM."""

    children: Sequence[Child]
    say: Callable[[str], None]
    stops_asked: int = field(default=0, init=False)

    def __enter__(self) -> Supervisor:
        kept = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()  # nohup
        self._handlers = {sign: signal.signal(sign, self._ask) for sign in _STOP_SIGNALS - kept}
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for sign, handler in self._handlers.items():
            signal.signal(sign, handler)

    def _ask(self, _sign: int, _frame: FrameType | None) -> None:
        self.stops_asked += 1

    def start(self) -> None:
        for child in self.children:
            child.start()

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Watch the children until a stop is asked for or `until` says so. Raises GaveUp."""
        while not self.stops_asked and not until():
            for child in self.children:
                self._look_after(child)
            time.sleep(_TICK)

    def _look_after(self, child: Child) -> None:
        returncode = child.ended()
        if returncode is not None:
            self._bury(child, returncode)
        elif child.process is None and time.monotonic() >= child.restart_at:
            child.start()

    def _bury(self, child: Child, returncode: int) -> None:
        early = time.monotonic() - child.started < _HEALTHY_AFTER
        child.early_deaths = child.early_deaths + 1 if early else 0
        why = processes.how_it_ended(returncode)
        if child.early_deaths >= _GIVE_UP_AFTER:
            raise GaveUp(
                f"The {child.name} ended {child.early_deaths} times soon after its start, now with {why}. "
                "What it said stands above."
            )
        pause = min(0.25 * 2**child.early_deaths, _LONGEST_PAUSE)
        child.restart_at = time.monotonic() + pause
        self.say(f"The {child.name} ended ({why}). It starts again in {pause:g} s.")

    def stop(self) -> None:
        """Ask every child to end, and kill those that have not when the deadline or a second Ctrl-C comes."""
        running = [child.process for child in self.children if child.process is not None]
        asked_before = self.stops_asked
        deadline = time.monotonic() + _STOP_WITHIN
        for process in running:
            process.terminate()
        while any(process.poll() is None for process in running):
            if time.monotonic() > deadline or self.stops_asked > max(asked_before, 1):
                break
            time.sleep(0.02)
        for process in running:
            processes.kill_group(process)
