"""What an author may ask of a node: frozen values that check themselves when they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .durations import Duration, seconds
from .errors import InvalidOption
from .expressions import Expression, parse

STRATEGIES = ("exponential", "linear", "fixed")
JITTERS = ("full", "none")
ErrorType = type[BaseException] | str


def type_name(error_type: ErrorType) -> str:
    """Return "module.QualName", or the bare name for built-ins, as retry rules and boundaries compare it."""
    if isinstance(error_type, str):
        return error_type
    if error_type.__module__ == "builtins":
        return error_type.__qualname__
    return f"{error_type.__module__}.{error_type.__qualname__}"


def type_names(error: BaseException) -> list[str]:
    """Return the names of an error's type and of those it derives from, as retry rules and boundaries compare them."""
    return [type_name(kind) for kind in type(error).__mro__ if kind is not object]


def _type_names(option: str, kinds: Iterable[ErrorType]) -> tuple[str, ...]:
    if isinstance(kinds, (str, type)) or not isinstance(kinds, Iterable):
        raise InvalidOption(
            option=option, value=kinds, expected="a list of exception types or of their names"
        )
    names = []
    for kind in kinds:
        if not isinstance(kind, str) and not (isinstance(kind, type) and issubclass(kind, BaseException)):
            expected = "a list of exception types or of their names"
            raise InvalidOption(option=f"one of {option}", value=kind, expected=expected)
        names.append(type_name(kind))
    # A set has another order in each process; the version's checksum must not.
    return tuple(sorted(names) if isinstance(kinds, (set, frozenset)) else names)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Say how often and how soon a failed attempt is tried again.

    `max_attempts` counts the first try. Intervals are seconds or "30s" texts and are kept as seconds. The delay
    before attempt n+1 is `initial·c^(n-1)` (exponential), `initial·n` (linear) or `initial` (fixed), capped by
    `max_interval`. `on_retry(error, attempt, ctx)` returns a delay, None (use the policy) or False (give up).
    """

    max_attempts: int = 3
    initial_interval: float = 1.0
    backoff_coefficient: float = 2.0
    max_interval: float = 60.0
    strategy: str = "exponential"
    jitter: str = "none"
    retry_on: tuple[str, ...] = ()
    do_not_retry: tuple[str, ...] = ()
    on_retry: Callable[..., Any] | None = field(default=None, compare=False)

    def __init__(
        self,
        *,
        max_attempts: int = 3,
        initial_interval: Duration = 1.0,
        backoff_coefficient: float = 2.0,
        max_interval: Duration = 60.0,
        strategy: str = "exponential",
        jitter: str = "none",
        retry_on: Iterable[ErrorType] = (),
        do_not_retry: Iterable[ErrorType] = (),
        on_retry: Callable[..., Any] | None = None,
    ) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731 - frozen
        put("max_attempts", _whole("RetryPolicy.max_attempts", max_attempts, 1))
        put("initial_interval", seconds(initial_interval, "RetryPolicy.initial_interval"))
        put("backoff_coefficient", _number("RetryPolicy.backoff_coefficient", backoff_coefficient, 1.0))
        put("max_interval", seconds(max_interval, "RetryPolicy.max_interval"))
        put("strategy", _one_of("RetryPolicy.strategy", strategy, STRATEGIES))
        put("jitter", _one_of("RetryPolicy.jitter", jitter, JITTERS))
        put("retry_on", _type_names("RetryPolicy.retry_on", retry_on))
        put("do_not_retry", _type_names("RetryPolicy.do_not_retry", do_not_retry))
        if on_retry is not None and not callable(on_retry):
            raise InvalidOption(option="RetryPolicy.on_retry", value=on_retry, expected="a callable")
        put("on_retry", on_retry)


def _whole(option: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidOption(option=option, value=value, expected=f"a whole number ≥ {least}")
    return value


def _number(option: str, value: Any, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= 1e9:
        raise InvalidOption(option=option, value=value, expected=f"a number from {least:g} to 1e9")
    return float(value)


def _one_of(option: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise InvalidOption(option=option, value=value, expected="one of " + ", ".join(choices))
    return str(value)


SCOPES = ("workflow", "global")


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """Say for how long a node's result stands for those of equal executions, and what makes them equal.

    `ttl` is seconds or a text such as "5m". `key_fn(input)`, or `key_fn(input, ctx)`, returns JSON that stands in the
    key for the input and the results that the node depends on. `store` is an alias of Django's CACHES. With scope
    "global", every workflow that uses the body shares its entries. `tags` are names to invalidate entries by.
    """

    ttl: float
    key_fn: Callable[..., Any] | None = field(default=None, compare=False)
    store: str = "default"
    scope: str = "workflow"
    tags: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        ttl: Duration,
        key_fn: Callable[..., Any] | None = None,
        store: str = "default",
        scope: str = "workflow",
        tags: Iterable[str] = (),
    ) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731 - frozen
        put("ttl", seconds(ttl, "CachePolicy.ttl"))
        if not self.ttl:
            raise InvalidOption(option="CachePolicy.ttl", value=ttl, expected="longer than nothing")
        if key_fn is hash:
            expected = "a function that says the same in every process; Python's hash() does not"
            raise InvalidOption(option="CachePolicy.key_fn", value=key_fn, expected=expected)
        if key_fn is not None and not callable(key_fn):
            raise InvalidOption(option="CachePolicy.key_fn", value=key_fn, expected="a callable")
        put("key_fn", key_fn)
        put("store", _name("CachePolicy.store", store))
        put("scope", _one_of("CachePolicy.scope", scope, SCOPES))
        listed = (tags,) if isinstance(tags, str) else tuple(tags)
        put("tags", tuple(sorted({_name("CachePolicy.tags", tag) for tag in listed})))


def _name(option: str, value: Any) -> str:
    if (
        not isinstance(value, str)
        or not value.isprintable()
        or not 0 < len(value.strip()) == len(value) <= 100
    ):
        raise InvalidOption(option=option, value=value, expected="a printable text of 1 to 100 characters")
    return value


JOINS = ("all_success", "all_done", "any_success", "none_failed", "all_failed", "one_failed", "one_done")


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Run the node as soon as `count` of its predecessors have succeeded."""

    count: int

    def __post_init__(self) -> None:
        _whole("AtLeast", self.count, 1)


Join = str | AtLeast


def check_join(join: Join) -> Join:
    """Return the join, or raise InvalidOption when it is not one of the known rules."""
    if isinstance(join, AtLeast) or join in JOINS:
        return join
    if isinstance(join, str) and "." in join:
        parse(join)
        return join
    known = ", ".join(JOINS)
    raise InvalidOption(
        option="join", value=join, expected=f"AtLeast(k), an outcome expression, or one of {known}"
    )


def expression_of(join: Join) -> Expression | None:
    """Return the join as an outcome expression, or None for the other rules."""
    return parse(join) if isinstance(join, str) and join not in JOINS else None


@dataclass(frozen=True, slots=True)
class Handles:
    """What an error boundary catches: failures of these nodes (None: of every node that is no fallback or boundary),
    of these types, by name (empty: all).
    """

    for_nodes: tuple[str, ...] | None = None
    error_types: tuple[str, ...] = ()

    def catches(self, types: Sequence[str]) -> bool:
        """Say whether an error with these type names along its MRO is one of those."""
        return not self.error_types or any(name in types for name in self.error_types)


def check_types(option: str, kinds: Iterable[ErrorType]) -> tuple[str, ...]:
    """Return the names of exception types. Raises InvalidOption."""
    return _type_names(option, kinds)


MOST_ITERATIONS = 10_000


def check_iterations(number: Any, option: str = "max_iterations") -> None:
    """Raise InvalidOption unless a body may run so many times."""
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST_ITERATIONS:
        expected = f"a whole number from 1 to {MOST_ITERATIONS:,}"
        raise InvalidOption(option=option, value=number, expected=expected)


@dataclass(frozen=True, slots=True)
class Repeat:
    """Run a node's body again and again, `delay` seconds apart, until `until` says so; each run is kept.

    `until` is "module:qualname" of a callable, or "task:name" of a registered task.
    """

    until: str
    max_iterations: int
    delay: float = 0.0

    def __post_init__(self) -> None:
        check_iterations(self.max_iterations)
        object.__setattr__(self, "delay", seconds(self.delay, "delay"))


@dataclass(frozen=True, slots=True)
class Items:
    """What makes a node a map: whose result its items are (or `call`, "module:qualname" of what finds them).

    At most `concurrency` of them run at once, in batches of `batch_size`. It stands as long as no more than `tolerate`
    have failed: a number of them, or as a float a share of all.
    """

    over: str | None = None
    call: str | None = None
    concurrency: int | None = None
    batch_size: int | None = None
    tolerate: int | float = 0

    def __post_init__(self) -> None:
        for option in ("concurrency", "batch_size"):
            if getattr(self, option) is not None:
                _whole(f"{option} of a map", getattr(self, option), 1)
        share = isinstance(self.tolerate, float) and 0.0 <= self.tolerate <= 1.0
        if not share:
            check_tolerated(self.tolerate)

    def tolerated(self, count: int) -> int:
        """Return how many of so many items may fail."""
        return int(self.tolerate * count) if isinstance(self.tolerate, float) else self.tolerate


def check_tolerated(value: Any) -> None:
    """Raise InvalidOption unless this is a number of items."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        expected = "a number of items, or a share of them: a float from 0.0 to 1.0"
        raise InvalidOption(option="tolerate of a map", value=value, expected=expected)


@dataclass(frozen=True, slots=True)
class Bound:
    """At most `limit` of the nodes with this bound are under way at once; None: all of them."""

    name: str
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None:
            _whole("concurrency of parallel nodes", self.limit, 1)


ON_FAILURE = ("finish", "fail_fast")
ON_EXHAUSTED = ("fail", "pause")


def check_on_exhausted(value: Any) -> str:
    """Return what a node does when nobody has rescued it, or raise InvalidOption."""
    return _one_of("on_exhausted", value, ON_EXHAUSTED)


def check_on_failure(value: Any) -> str:
    """Return what a workflow does when a node has failed, or raise InvalidOption."""
    return _one_of("on_failure", value, ON_FAILURE)


PRIORITIES = range(1, 6)


def check_priority(priority: int) -> int:
    """Return the priority (1 first … 5 last), or raise InvalidOption."""
    if isinstance(priority, bool) or not isinstance(priority, int) or priority not in PRIORITIES:
        raise InvalidOption(
            option="priority", value=priority, expected="a whole number from 1 (first) to 5 (last)"
        )
    return priority
