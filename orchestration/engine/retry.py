"""RetryPolicy + failure + attempt -> a delay in seconds, or None to give up."""

from __future__ import annotations

from collections.abc import Sequence

from .policies import RetryPolicy

# Asked by the body or by `on_retry`: a delay in seconds, False (give up), or None (the policy decides).
Asked = float | bool | None


def delay_after(
    policy: RetryPolicy | None, attempt: int, types: Sequence[str], asked: Asked, jitter: float
) -> float | None:
    """Return the seconds until the next attempt, or None to give up.

    `attempt` is the one that failed (1, 2, …), `types` the error's type names along its MRO, `jitter` a number
    in [0, 1) that full jitter multiplies the delay with.
    """
    if policy is None or attempt >= policy.max_attempts or asked is False:
        return None
    if asked is not None and asked is not True:
        return float(asked)
    if not _retryable(policy, types):
        return None
    delay = min(_base(policy, attempt), policy.max_interval)
    return delay * jitter if policy.jitter == "full" else delay


def _retryable(policy: RetryPolicy, types: Sequence[str]) -> bool:
    if any(name in types for name in policy.do_not_retry):
        return False
    return not policy.retry_on or any(name in types for name in policy.retry_on)


def _base(policy: RetryPolicy, attempt: int) -> float:
    if policy.strategy == "linear":
        return policy.initial_interval * attempt
    if policy.strategy == "fixed":
        return policy.initial_interval
    try:
        return policy.initial_interval * policy.backoff_coefficient ** (attempt - 1)
    except OverflowError:
        return policy.max_interval if policy.initial_interval else 0.0
