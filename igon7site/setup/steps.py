"""Commands run one after another or beside each other, each with a heading and its time; a summary at the end."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from igon7site.setup.processes import dying_with_parent

_LOOK = 0.1  # seconds between two looks at the commands that run
_FINDINGS = ("FAILED ", "ERROR ")  # how pytest's short summary begins its lines


@dataclass(frozen=True)
class Step:
    """A command, with variables that it has over the present ones."""

    title: str
    command: Sequence[str]
    environment: Mapping[str, str]

    @property
    def heading(self) -> str:
        return f"\n── {self.title} " + "─" * max(3, 76 - len(self.title))

    @property
    def surroundings(self) -> dict[str, str]:
        return {**os.environ, **self.environment}


class _Running:
    """A step under way. Its output is a file, not a pipe: what it may leave behind cannot hold us up."""

    def __init__(self, step: Step) -> None:
        self.step, self.began = step, time.monotonic()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object
        self._heard = 0
        self.process = subprocess.Popen(
            step.command, env=step.surroundings, stdin=subprocess.DEVNULL, stdout=self._output,
            stderr=subprocess.STDOUT, preexec_fn=dying_with_parent(),
        )  # fmt: skip

    def news(self) -> str:
        """Return the lines that are new; once it has ended, all that is left."""
        ended = self.process.poll() is not None
        data = self._from(self._heard)
        if not ended:
            data = data[: data.rfind(b"\n") + 1]
        self._heard += len(data)
        return data.decode(errors="replace")

    def findings(self) -> list[str]:
        """Return the lines that name tests which failed."""
        lines = self._from(0).decode(errors="replace").splitlines()
        return [line for line in lines if line.startswith(_FINDINGS)]

    def _from(self, position: int) -> bytes:
        file = self._output.fileno()
        return os.pread(file, os.fstat(file).st_size - position, position)


@dataclass
class Steps:
    """Runs steps whether or not earlier ones failed; `failed` names those that did."""

    say: Callable[[str], None]
    failed: list[str] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)
    _findings: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def attach(self, step: Step) -> None:
        """Run a step at this terminal: its output, and what is typed, go straight through."""
        self.say(step.heading)
        began = time.monotonic()
        code = subprocess.run(step.command, env=step.surroundings).returncode
        self._note(step, code, time.monotonic() - began)

    def run(self, *lanes: Iterable[Step]) -> None:
        """Run lanes beside each other, the steps of each one after another.

        A single lane is heard as it goes; of several, each step's output comes in one piece when it has ended.
        """
        coming = [iter(lane) for lane in lanes]
        running = [self._next(lane, live=len(lanes) == 1) for lane in coming]
        try:
            while any(running):
                time.sleep(_LOOK)
                for place, one in enumerate(running):
                    if one and self._has_ended(one, live=len(lanes) == 1):
                        running[place] = self._next(coming[place], live=len(lanes) == 1)
        except KeyboardInterrupt:  # which the terminal has sent to them too
            for one in filter(None, running):
                one.process.wait()
            raise

    def _next(self, lane: Iterator[Step], live: bool) -> _Running | None:
        step = next(lane, None)
        if step and live:
            self.say(step.heading)
        return _Running(step) if step else None

    def _has_ended(self, one: _Running, live: bool) -> bool:
        code = one.process.poll()
        news = one.news() if live or code is not None else ""
        if not live and code is not None:
            self.say(one.step.heading)
        if news:
            self.say(news)
        if code is None:
            return False
        self._findings += [f"{one.step.title}: {line}" for line in one.findings()]
        self._note(one.step, code, time.monotonic() - one.began)
        return True

    def skip(self, title: str, why: str) -> None:
        self.say(f"\n{title}: skipped, {why}")
        self._lines.append(f"{title}: skipped, {why}")

    def _note(self, step: Step, code: int, seconds: float) -> None:
        if code:
            self.failed.append(step.title)
        verdict = "ok" if code == 0 else f"FAILED (exit code {code})"
        self.say(f"{step.title}: {verdict}, {seconds:.1f} s")
        self._lines.append(f"{step.title}: {verdict}, {seconds:.1f} s")

    def summary(self) -> str:
        """Return one line per step, the tests that failed, and the verdict."""
        verdict = f"Failed: {', '.join(self.failed)}." if self.failed else "Everything is in order."
        took = f"All of it: {time.monotonic() - self._began:.1f} s"
        heading = "\n── Summary " + "─" * 69
        return "\n".join([heading, *self._lines, took, "", *self._findings, verdict])
