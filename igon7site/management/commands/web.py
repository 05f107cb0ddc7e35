"""The ASGI server, alone."""

from __future__ import annotations

from typing import Any

import uvicorn
from django.core.management.base import BaseCommand, CommandParser

from igon7site.setup import address


class Command(BaseCommand):
    help = "Run the web server: pages, API and live views."

    def add_arguments(self, parser: CommandParser) -> None:
        address.add_arguments(parser)

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        address.check_free(host, port)
        uvicorn.Server(
            uvicorn.Config(
                "igon7site.asgi:application",
                host=host,
                port=port,
                http="httptools",
                ws="websockets-sansio",
                ws_max_size=64 * 1024,  # browsers send subscriptions, nothing larger
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        ).run()
