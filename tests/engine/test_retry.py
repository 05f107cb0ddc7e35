"""How often and how soon a failed attempt is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.engine.errors import InvalidOption
from orchestration.engine.policies import RetryPolicy, type_name
from orchestration.engine.retry import delay_after


class NetworkError(Exception):
    pass


class DnsError(NetworkError):
    pass


def names(kind: type[BaseException]) -> list[str]:
    return [type_name(one) for one in kind.__mro__ if one is not object]


@pytest.mark.parametrize(
    ("options", "delays"),
    [
        ({}, [1, 2, 4, 8, 16, 32, 60, 60]),
        ({"initial_interval": "500ms", "backoff_coefficient": 3, "max_interval": 10}, [0.5, 1.5, 4.5, 10]),
        ({"backoff_coefficient": 1, "initial_interval": 7}, [7, 7, 7]),
        ({"strategy": "linear", "initial_interval": 2, "max_interval": 7}, [2, 4, 6, 7, 7]),
        ({"strategy": "fixed", "initial_interval": 3}, [3, 3, 3]),
        ({"strategy": "fixed", "initial_interval": 90}, [60, 60]),
    ],
)
def test_delays_follow_the_strategy_up_to_the_cap(options, delays):
    policy = RetryPolicy(max_attempts=len(delays) + 1, **options)
    assert [delay_after(policy, n, [], None, 1.0) for n in range(1, len(delays) + 2)] == [*delays, None]


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_full_jitter_lies_between_nothing_and_the_delay(attempt, chance):
    plain, jittered = RetryPolicy(max_attempts=99), RetryPolicy(max_attempts=99, jitter="full")
    most, delay = (
        delay_after(plain, attempt, [], None, chance),
        delay_after(jittered, attempt, [], None, chance),
    )
    assert most is not None
    assert delay == most * chance


@pytest.mark.parametrize("strategy", ["exponential", "linear", "fixed"])
def test_the_millionth_attempt_waits_no_longer_than_the_cap(strategy):
    policy = RetryPolicy(max_attempts=10**9, strategy=strategy, initial_interval=1)
    delay = delay_after(policy, 10**6, [], None, 1.0)
    assert delay is not None
    assert 0 < delay <= 60


def test_without_an_interval_even_the_millionth_attempt_comes_at_once():
    assert delay_after(RetryPolicy(max_attempts=10**9, initial_interval=0), 10**6, [], None, 1.0) == 0


def test_a_node_without_a_policy_is_not_retried():
    assert delay_after(None, 1, [], None, 1.0) is None
    assert delay_after(None, 1, [], 5.0, 1.0) is None


def test_retry_on_admits_subclasses_and_nothing_else():
    policy = RetryPolicy(retry_on=(NetworkError, "TimeoutError"))
    assert delay_after(policy, 1, names(DnsError), None, 1.0) == 1
    assert delay_after(policy, 1, names(TimeoutError), None, 1.0) == 1
    assert delay_after(policy, 1, names(ValueError), None, 1.0) is None


def test_do_not_retry_outweighs_retry_on():
    policy = RetryPolicy(retry_on=[NetworkError], do_not_retry=[DnsError])
    assert delay_after(policy, 1, names(DnsError), None, 1.0) is None
    assert delay_after(policy, 1, names(NetworkError), None, 1.0) == 1


def test_what_the_body_asks_for_outweighs_the_policy_but_not_the_number_of_attempts():
    policy = RetryPolicy(max_attempts=2, do_not_retry=[ValueError])
    assert delay_after(policy, 1, ["ValueError"], 7, 1.0) == 7
    assert delay_after(policy, 1, [], 0, 1.0) == 0
    assert delay_after(policy, 1, [], False, 1.0) is None
    assert delay_after(policy, 1, [], True, 1.0) == 1
    assert delay_after(policy, 2, [], 7, 1.0) is None


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_attempts": 0}, "RetryPolicy.max_attempts is 0; it must be a whole number ≥ 1."),
        ({"max_attempts": True}, "max_attempts"),
        ({"max_attempts": 2.5}, "max_attempts"),
        ({"initial_interval": "soon"}, "RetryPolicy.initial_interval is 'soon'; it must be a duration"),
        ({"max_interval": -1}, "RetryPolicy.max_interval is -1"),
        (
            {"backoff_coefficient": 0.5},
            "RetryPolicy.backoff_coefficient is 0.5; it must be a number from 1 to",
        ),
        ({"backoff_coefficient": float("nan")}, "backoff_coefficient"),
        ({"backoff_coefficient": 10**400}, "backoff_coefficient"),
        ({"backoff_coefficient": "2"}, "backoff_coefficient"),
        ({"strategy": "random"}, "it must be one of exponential, linear, fixed."),
        ({"jitter": True}, "it must be one of full, none."),
        ({"retry_on": TimeoutError}, "RetryPolicy.retry_on is <class 'TimeoutError'>; it must be a list of"),
        ({"retry_on": "TimeoutError"}, "RetryPolicy.retry_on is 'TimeoutError'; it must be a list of"),
        ({"retry_on": 5}, "RetryPolicy.retry_on is 5"),
        ({"do_not_retry": [str]}, "one of RetryPolicy.do_not_retry is <class 'str'>"),
        ({"do_not_retry": [ValueError()]}, "one of RetryPolicy.do_not_retry is ValueError()"),
        ({"on_retry": 5}, "RetryPolicy.on_retry is 5; it must be a callable."),
    ],
)
def test_a_wrong_policy_is_refused_when_it_is_made(options, named):
    with pytest.raises(InvalidOption) as caught:
        RetryPolicy(**options)
    assert named in str(caught.value)


def test_types_given_as_a_set_are_kept_in_one_order():
    assert RetryPolicy(retry_on={ValueError, KeyError, OSError}).retry_on == (
        "KeyError",
        "OSError",
        "ValueError",
    )


def test_a_policy_is_a_value():
    assert RetryPolicy(initial_interval="1m") == RetryPolicy(initial_interval=60, on_retry=print)
    assert hash(RetryPolicy()) == hash(RetryPolicy())
    with pytest.raises(AttributeError):
        RetryPolicy().max_attempts = 4  # type: ignore[misc]
