"""The WebSocket of one execution's page."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.http import QueryDict
from django.utils import timezone

from orchestration.engine.errors import InvalidOption
from orchestration.queries.events import instant

from .access import UNKNOWN, Refusal, language_of, refusal
from .live import ExecutionGone, Subscription, relay
from .positions import position

log = logging.getLogger(__name__)

FRAME_EVERY = 0.1  # at most
HEARTBEAT_EVERY = 5.0
PERMISSION_EVERY = 2.0
MESSAGE_LIMIT = 1024  # characters; nobody has more to say than a ping
BAD_QUERY, TOO_BIG, INTERNAL = 4400, 1009, 1011
_REASON_BYTES = 123  # what a close frame holds


class ExecutionConsumer(AsyncWebsocketConsumer):
    """Sends frames of one execution; closes with 4400, 4401, 4403 or 4404 as query, login, permission say."""

    _subscription: Subscription | None = None
    _tasks: tuple[asyncio.Task[None], ...] = ()
    _answered = 0.0

    async def connect(self) -> None:
        # Accepted before it is refused: a browser tells its page nothing about a handshake that failed.
        await self.accept()
        self._execution: uuid.UUID = self.scope["url_route"]["kwargs"]["id"]
        try:
            after, line = position(QueryDict(self.scope["query_string"]).dict())
        except InvalidOption as error:
            await self._close(Refusal(BAD_QUERY, str(error)))
            return
        try:
            refused = await self._refusal(again=False)
        except Exception:
            log.exception("A live view could not be opened.")
            refused = Refusal(INTERNAL, "The server failed; try again.")
        if refused:
            await self._close(refused)
            return
        self._subscription = relay.subscribe(self._execution, after, line, language_of(self.scope))
        self._tasks = (self._start(self._send_frames()), self._start(self._watch_permission()))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if len(text_data or bytes_data or "") > MESSAGE_LIMIT:
            await self._close(Refusal(TOO_BIG, "The message is too big."))
        elif _is_ping(text_data) and time.monotonic() - self._answered >= FRAME_EVERY:
            self._answered = time.monotonic()
            await self._heartbeat()

    async def disconnect(self, code: int) -> None:
        for task in self._tasks:
            task.cancel()
        if self._subscription is not None:
            relay.unsubscribe(self._subscription)
            self._subscription = None

    async def _send_frames(self) -> None:
        assert self._subscription is not None
        subscription = self._subscription
        while True:
            line = subscription.line
            try:
                frame = await asyncio.wait_for(subscription.next(), HEARTBEAT_EVERY)
            except TimeoutError:
                await self._heartbeat()
                continue
            except ExecutionGone:
                await self._close(Refusal(UNKNOWN, "The execution has been deleted."))
                return
            await self.send(text_data=frame.as_text(subscription.language, line))
            await asyncio.sleep(FRAME_EVERY)

    async def _watch_permission(self) -> None:
        while True:
            await asyncio.sleep(PERMISSION_EVERY)
            if refused := await self._refusal(again=True):
                await self._close(refused)
                return

    async def _refusal(self, *, again: bool) -> Refusal | None:
        ask = database_sync_to_async(refusal)
        found: Refusal | None = await ask(self.scope, self._execution, again=again)
        return found

    async def _heartbeat(self) -> None:
        await self.send(text_data=json.dumps({"at": instant(timezone.now())}))

    async def _close(self, refused: Refusal) -> None:
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        reason = refused.reason.encode()[:_REASON_BYTES].decode(errors="ignore")
        await self.close(code=refused.code, reason=reason)

    def _start(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is None or isinstance(error, OSError):  # the other end has gone; disconnect() follows
            return
        log.error("A live view failed and was closed.", exc_info=error)
        self._closing = asyncio.ensure_future(self._close(Refusal(INTERNAL, "The server failed; try again.")))


def _is_ping(text: str | None) -> bool:
    try:
        content = json.loads(text or "")
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("type") == "ping"
