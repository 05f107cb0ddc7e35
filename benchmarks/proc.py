"""What Linux tells about processes: who belongs together, their CPU seconds, their memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def group(leader: int) -> list[int]:
    """Return the processes of a process group."""
    return [pid for pid, fields in _all() if int(fields[2]) == leader]


def tree(root: int) -> list[int]:
    """Return a process and all its descendants."""
    parents = {pid: int(fields[1]) for pid, fields in _all()}
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def parent(pid: int) -> int:
    return int(dict(_all())[pid][1])


def threads(pid: int) -> int:
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/task"))
    return 0


def cpu_seconds(roots: Iterable[int]) -> float:
    """Return what these processes, their descendants and the descendants that have ended used so far."""
    stats = dict(_all())
    ticks = 0
    for pid in {pid for root in roots for pid in tree(root)}:
        if pid in stats:
            ticks += sum(int(value) for value in stats[pid][11:15])  # its own, and its reaped children's
    return ticks / _TICK


def pss_mib(pid: int) -> float:
    """Return a process's proportional share of memory."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None, f"process {pid} has no Pss"
    return int(found[1]) / 1024


def _all() -> Iterator[tuple[int, list[str]]]:
    """Yield each process with the fields of its stat, from the state on; none that has ended."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    yield int(entry.name), fields
