"""The address a web process listens on."""

from __future__ import annotations

import errno
import http.client
import socket

from django.core.management.base import CommandError, CommandParser


def add_arguments(parser: CommandParser) -> None:
    """Add --host and --port to a command."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default 8000)")


def check_free(host: str, port: int) -> None:
    """Raise CommandError, saying what to do, unless a server could listen there now."""
    if not 0 < port < 65536:
        raise CommandError(f"--port {port}: a port is a number from 1 to 65535.")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise CommandError(f"--host {host}: {error.strerror}.") from None
    except OSError as error:
        raise CommandError(_refusal(host, port, error)) from None


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by another program. Choose another: --port {port + 1}"
    if error.errno == errno.EACCES:
        return f"Port {port} needs the administrator's rights. Choose one from 1024 up, such as --port 8000"
    return f"Cannot listen on {host}, port {port}: {error.strerror}."


def url(host: str, port: int) -> str:
    """Return the URL that a person on this machine opens."""
    return f"http://{_reachable(host)}:{port}/"


def answers(host: str, port: int, path: str, name: str) -> bool:
    """Say whether a server there answers a GET, asked for by that Host name, without failing."""
    connection = http.client.HTTPConnection(_reachable(host).strip("[]"), port, timeout=2)
    try:
        connection.request("GET", path, headers={"Host": name})
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _reachable(host: str) -> str:
    if host in {"0.0.0.0", "::", ""}:
        return "localhost"
    return f"[{host}]" if ":" in host else host
