"""Running one body and saying how it ended. Nothing a body does escapes from here as an exception."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import math
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings

from orchestration.engine.builder import Declined
from orchestration.engine.codec import dump_payload
from orchestration.engine.decide import Result
from orchestration.engine.durations import seconds
from orchestration.engine.errors import (
    ApprovalRejected,
    DeadlineExceeded,
    DoNotRetry,
    DurableInStep,
    Igon7Error,
    NodeCancelled,
    NodeTimeout,
    NotAList,
    NotInTransaction,
    NotSerialisable,
    PayloadTooLarge,
    RepeatExhausted,
    ReplayDiverged,
    RetryAfter,
    SecretDenied,
    UnknownSecret,
)
from orchestration.engine.graph import NodeSpec
from orchestration.engine.policies import type_names
from orchestration.engine.retry import Asked
from orchestration.engine.states import Outcome
from orchestration.store.journal import began_key, ran_key
from security.masking import mask

from .maps import Found
from .seat import Held

_FOR_GOOD = (
    DoNotRetry,
    DeadlineExceeded,
    ReplayDiverged,
    DurableInStep,
    RepeatExhausted,
    ApprovalRejected,
    NotAList,
    NotInTransaction,
    SecretDenied,
    UnknownSecret,
    SystemExit,
)
TRACEBACK_LIMIT = 32 * 1024
GRACE = 5.0  # seconds after its timeout that a body has before its process is killed


class Interrupted(BaseException):
    """Raised in a body that must stop now; a BaseException, so that `except Exception` lets it by."""


class HandBack(BaseException):
    """Raised instead of running a body that somebody is to run later: in `delay` seconds, or when that is cut short."""

    def __init__(self, delay: float, said: dict[str, Any]) -> None:
        super().__init__(delay, said)
        self.delay, self.said = delay, said


class _Flag:
    up = False


in_body = _Flag()


def run_sync(held: Held, spec: NodeSpec, body: Callable[..., Any], ctx: Any) -> tuple[Outcome, Any]:
    """Run a sync body in the main thread; return the outcome and its result or error."""
    try:
        with _alarm(held, spec):
            value = body(ctx)
    except BaseException as error:
        return _outcome(held, error), error
    return _outcome(held, None), value


async def run_async(held: Held, spec: NodeSpec, body: Callable[..., Any], ctx: Any) -> tuple[Outcome, Any]:
    """Run an async body on the event loop; return the outcome and its result or error."""
    due, late = _due(held, spec)
    left = max(0.0, due - time.monotonic()) if late is not None else None
    if late is not None:  # for a body that blocks the event loop, which then cannot time it out
        held.kill_at = due + GRACE
    try:
        async with asyncio.timeout(left) as limit:
            value = await body(ctx)
    except TimeoutError as error:
        if late is not None and limit.expired():
            return Outcome.TIMED_OUT, late
        return _outcome(held, error), error
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and held.late is not None:
            return Outcome.TIMED_OUT, held.late
        return _outcome(held, error), error
    finally:
        held.kill_at = None
    return _outcome(held, None), value


def _outcome(held: Held, error: BaseException | None) -> Outcome:
    if held.waits:  # whatever it made of being interrupted
        return Outcome.SUSPENDED
    if error is None:
        return Outcome.SUCCEEDED
    stopped = isinstance(error, NodeCancelled | Interrupted | asyncio.CancelledError)
    if stopped and (held.cancelled or held.gone):
        return Outcome.CANCELLED
    if isinstance(error, Declined):
        return Outcome.SKIPPED
    if isinstance(error, HandBack):
        return Outcome.RELEASED
    return Outcome.TIMED_OUT if isinstance(error, NodeTimeout) else Outcome.FAILED


def _due(held: Held, spec: NodeSpec) -> tuple[float, NodeTimeout | None]:
    """Return when the body must be over (monotonic seconds) and what it is told then; never, and nothing."""
    held.silence, held.said_at = spec.heartbeat_timeout, time.monotonic()
    limits: list[tuple[float, NodeTimeout]] = []
    if spec.timeout is not None:
        left = spec.timeout - _ran(held)  # the time that it waits does not count
        limits.append((time.monotonic() + left, NodeTimeout(timeout=spec.timeout)))
    if held.deadline is not None:
        limits.append((held.deadline, DeadlineExceeded(deadline=spec.deadline)))
    return min(limits, key=lambda limit: limit[0], default=(math.inf, None))


def _ran(held: Held) -> float:
    """Return the seconds that the attempt ran before it waited."""
    entry = (held.journal or {}).get(ran_key(held.claim.attempt))
    return float(entry.value or 0.0) if entry is not None else 0.0


def began(held: Held) -> dt.datetime | None:
    """Return when the attempt began, where it has waited since."""
    entry = (held.journal or {}).get(began_key(held.claim.attempt))
    return dt.datetime.fromisoformat(json.loads(entry.value)) if entry is not None and entry.value else None


@contextmanager
def _alarm(held: Held, spec: NodeSpec) -> Iterator[None]:
    """Interrupt the main thread when time is up; the alarm raises only while the flag is up, and for its own body."""
    due, late = _due(held, spec)

    def ring(*_: Any) -> None:
        if in_body.up and held.gone:
            raise Interrupted
        if in_body.up and held.late is not None:
            raise held.late
        if in_body.up and late is not None and time.monotonic() >= due:
            raise late

    # django-q2 resets SIGALRM after a task, so it is armed anew each time.
    signal.signal(signal.SIGALRM, ring)
    held.interrupt = lambda: signal.pthread_kill(_main_thread_id(), signal.SIGALRM)
    if late is not None:
        # A hair late rather than early: the handler compares with the same clock.
        signal.setitimer(signal.ITIMER_REAL, max(0.0, due - time.monotonic()) + 0.001)
        held.kill_at = due + GRACE
    in_body.up = True
    try:
        if held.gone:  # lost between the claim and here, when there was nothing to interrupt
            raise Interrupted
        yield
    finally:
        in_body.up = False
        held.interrupt = held.kill_at = None
        signal.setitimer(signal.ITIMER_REAL, 0)


def _main_thread_id() -> int:
    ident = threading.main_thread().ident
    assert ident is not None
    return ident


# --- what becomes of it ----------------------------------------------------------------------------


def to_result(
    held: Held, spec: NodeSpec, ctx: Any, outcome: Outcome, value: Any, took: float, worker: str
) -> Result:
    """Return the Result to settle; `took` is seconds. An un-serialisable result is a failure that is not retried."""
    about: dict[str, Any] = {"duration": round(took * 1000, 2), "queued": held.claim.queued, "worker": worker}
    about["began"] = began(held)
    key = held.claim.key
    if outcome is Outcome.SUSPENDED:
        ran = _ran(held) + took if spec.timeout is not None else None
        return Result(key, outcome, waits=held.waits, ran=ran, **about)
    if outcome is Outcome.SUCCEEDED and isinstance(value, Found):
        return Result(key, Outcome.SPREAD, spread=value.count, **about)
    if outcome is Outcome.SUCCEEDED:
        try:
            ctx.check_reached()
            text = dump_payload(value, f'The result of node "{key}"', settings.IGON7_PAYLOAD_LIMIT)
        except (NotSerialisable, PayloadTooLarge, ReplayDiverged) as error:
            return Result(key, Outcome.FAILED, error=describe(error), asked=False, **about)
        except Exception as error:  # an author's __iter__, model_dump or property raised
            return Result(key, Outcome.FAILED, error=describe(error), asked=False, **about)
        return Result(key, outcome, result=text, more=held.more, **about)
    if outcome is Outcome.RELEASED:
        return Result(key, outcome, asked=value.delay, more=value.said)
    if outcome in (Outcome.CANCELLED, Outcome.SKIPPED):
        return Result(key, outcome, **about)
    return Result(
        key, outcome, error=describe(value), asked=_ask(spec, value, held.claim.attempt, ctx), **about
    )


def describe(error: BaseException) -> dict[str, Any]:
    """Return an exception as plain JSON: type, its names along the MRO, message, traceback."""
    message = _message(error)
    data: dict[str, Any] = {
        "type": mask(type(error).__name__),
        "types": [mask(name) for name in type_names(error)],
        "message": _clean(mask(message))[:4000],
        "traceback": _clean(_traceback(error)),
    }
    if isinstance(error, Igon7Error):
        data["code"] = error.code
    return data


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"The body called sys.exit({error.code!r}). Return a result or raise an error instead."
    try:
        return str(error)
    except Exception:
        return f"(the message of this {type(error).__name__} could not be made)"


def _traceback(error: BaseException) -> str:
    try:
        frames = error.__traceback__
        # Leave our own frames out: an author looks for theirs.
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        text = "".join(traceback.format_exception(type(error), error, frames))
    except Exception:
        text = f"{type(error).__name__} (its traceback could not be made)"
    text = mask(text)
    return (
        text
        if len(text) <= TRACEBACK_LIMIT
        else text[: TRACEBACK_LIMIT // 2] + "\n…\n" + text[-TRACEBACK_LIMIT // 2 :]
    )


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _ask(spec: NodeSpec, error: BaseException, attempt: int, ctx: Any) -> Asked:
    """Return what the body or the author's `on_retry` asks for: seconds, False, or None for the policy's own way."""
    if isinstance(error, RetryAfter):
        return float(error.delay)
    if isinstance(error, _FOR_GOOD):
        return False
    if spec.retry is None or spec.retry.on_retry is None or attempt >= spec.retry.max_attempts:
        return None
    try:
        asked = spec.retry.on_retry(error, attempt, ctx)
        return asked if asked is None or asked is False else seconds(asked, "what on_retry returned")
    except Exception as wrong:
        ctx.log.error("on_retry failed, so the policy decides: %s", wrong)
        return None
