"""Commands run one after another, each with a heading and its time, and a summary at the end."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class Steps:
    """Runs steps whether or not earlier ones failed; `failed` names those that did."""

    say: Callable[[str], None]
    failed: list[str] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)

    def run(self, title: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run a command with these variables over the present ones; its output goes straight through."""
        self.say(f"\n── {title} " + "─" * max(3, 76 - len(title)))
        began = time.monotonic()
        code = subprocess.run(command, env={**os.environ, **environment}).returncode
        if code:
            self.failed.append(title)
        self._note("ok" if code == 0 else f"FAILED (exit code {code})", title, time.monotonic() - began)

    def skip(self, title: str, why: str) -> None:
        self.say(f"\n{title}: skipped, {why}")
        self._lines.append(f"{title}: skipped, {why}")

    def _note(self, verdict: str, title: str, seconds: float) -> None:
        self.say(f"{title}: {verdict}, {seconds:.1f} s")
        self._lines.append(f"{title}: {verdict}, {seconds:.1f} s")

    def summary(self) -> str:
        """Return one line per step, and the verdict."""
        verdict = f"Failed: {', '.join(self.failed)}." if self.failed else "Everything is in order."
        return "\n── Summary " + "─" * 69 + "\n" + "\n".join([*self._lines, "", verdict])
