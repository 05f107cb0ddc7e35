"""Each peer in an environment of its own, made once and kept: its pinned requirements are its stamp."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

_REQUIREMENTS = Path(__file__).resolve().parent / "peers"


class NoPeer(Exception):
    """A peer's environment could not be made; the text says why."""


def python_of(peer: str, folder: Path) -> str:
    """Return the Python that has the peer, installing it if need be. Raises NoPeer."""
    requirements = _REQUIREMENTS / f"{peer}.txt"
    home = folder / peer
    python, stamp = home / "bin" / "python", home / "igon7-stamp"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if not (stamp.exists() and stamp.read_text() == wanted):
        _run([sys._base_executable, "-m", "venv", "--clear", str(home)])  # type: ignore[attr-defined]
        quiet = ["--quiet", "--disable-pip-version-check"]
        _run([str(python), "-m", "pip", "install", *quiet, "--requirement", str(requirements)])
        stamp.write_text(wanted)
    return str(python)


def versions(peer: str) -> dict[str, str]:
    """Return the pinned versions."""
    lines = (_REQUIREMENTS / f"{peer}.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if "==" in line]
    return {name.partition("[")[0]: version for name, version in pins}


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        last = done.stdout.strip().splitlines()[-1:] or ["it said nothing"]
        raise NoPeer(f"its environment could not be made: {last[0]}")
