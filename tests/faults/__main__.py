"""`python -m tests.faults '{…}'`: the drills on one database of their own. `manage.py faults` starts it."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import django

from igon7site.setup.postgres import NoPostgres, Server, private_server

_DISK = "256m"
_CLONE_NEWNS = 0x00020000
# Commits are durable, as they are in production; and little WAL, for the disk is small.
_DURABLE = {"max_wal_size": "64MB", "min_wal_size": "32MB", "shared_buffers": "32MB"}


def main(options: dict[str, Any]) -> int:
    """Make the database, run the drills, and write what they have shown into the file `report`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="igon7-faults-")))
        disk = stack.enter_context(_disk())
        try:
            server = stack.enter_context(_database(options["database"], disk or folder))
        except NoPostgres as error:
            print(f"No drill can run on PostgreSQL: {error}", file=sys.stderr)
            return 1
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "igon7site.settings")
        os.environ["IGON7_VAR"] = str(folder / "var")
        os.environ["IGON7_WORKFLOWS"] = "tests.faults.workflows"
        django.setup()
        from .run import run

        return run(options, folder, server, disk)


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[Server | None]:
    if kind == "sqlite":
        os.environ["DATABASE_URL"] = f"sqlite:///{folder / 'igon7.sqlite3'}"
        yield None
        return
    with private_server(folder if folder.stat().st_mode & 1 else None, **_DURABLE) as server:
        # Drills end sessions of clusters, which are called igon7, and none of their own.
        os.environ["DATABASE_URL"] = f"{server.url}&application_name=drills"
        yield server


@contextmanager
def _disk() -> Iterator[Path | None]:
    """Yield a small disk of its own (root alone may have one), or None; nobody but this process's family sees it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or not hasattr(libc, "unshare") or libc.unshare(_CLONE_NEWNS):
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="igon7-disk-", dir="/tmp"))
    options = f"size={_DISK},mode=755"
    try:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True, capture_output=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        shutil.rmtree(folder)
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False)
        with suppress(OSError):
            folder.rmdir()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
