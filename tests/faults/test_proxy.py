"""That the proxy makes the faults it is asked for: else the drills of the network would prove nothing."""

from __future__ import annotations

import random
import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from .proxy import Proxy


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(4096):
            self.request.sendall(data)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # short: a socket's path may be 107 bytes long
        path = str(Path(folder) / "echo")
        with _Server(path, _Echo) as server:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            made = Proxy(path, random.Random(1))
            yield made
            made.close()
            server.shutdown()


@pytest.fixture
def line(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5.0) as made:
        assert _echo(made, b"hello") == b"hello"
        yield made


def _echo(line: socket.socket, said: bytes) -> bytes:
    line.sendall(said)
    return line.recv(4096)


def _until_its_end(line: socket.socket) -> bytes:
    """Return what is still heard; the connection is closed or broken, and does not merely fall silent."""
    heard = b""
    with suppress(ConnectionError):
        while more := line.recv(4096):
            heard += more
    return heard


def test_a_cut_ends_a_connection_and_lets_new_ones_be_made(proxy, line):
    proxy.cut()
    assert _until_its_end(line) == b""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5.0) as again:
        assert _echo(again, b"again") == b"again"


def test_a_cut_in_a_message_lets_a_part_of_it_pass_at_most(proxy, line):
    proxy.cut_in_message()
    line.sendall(b"a message of a good hundred bytes " * 4)
    assert len(_until_its_end(line)) <= 40
    assert proxy.cuts == 1


def test_silence_holds_back_what_is_said_and_closes_nothing(proxy, line):
    assert proxy.silence() == 1
    line.settimeout(0.2)
    with pytest.raises(TimeoutError):
        _echo(line, b"anybody?")
    line.settimeout(5.0)
    proxy.resume()
    assert line.recv(4096) == b"anybody?"


def test_what_is_delayed_is_late(proxy, line):
    proxy.delay(0.05)
    began = time.monotonic()
    for _ in range(5):
        assert _echo(line, b"well?") == b"well?"
    assert time.monotonic() - began > 0.05


def test_who_is_refused_is_cut_off_at_once(proxy, line):
    proxy.refuse()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5.0) as refused:
        assert _until_its_end(refused) == b""
