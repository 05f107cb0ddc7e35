"""A real Redis for tests, on a socket of its own."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from igon7site.setup.processes import dying_with_parent


@contextmanager
def private_redis(folder: Path) -> Iterator[str]:
    """Run a server for the block and give its URL; skip the test, saying so, where there is none to run."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine")
    path = folder / "redis.sock"
    told = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
    command = [binary, *told]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=dying_with_parent()) as server:
        try:
            _wait_for(path)
            yield f"unix://{path}"
        finally:
            server.kill()


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with redis.Redis(unix_socket_path=str(path)) as client:
                client.ping()
            return
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
