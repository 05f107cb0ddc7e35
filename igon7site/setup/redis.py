"""Django's cache on Redis, which holds JSON and never makes anybody wait long."""

from __future__ import annotations

from typing import Any

from orchestration.cache_stores import SERIALIZER

CONNECT, ANSWER = 0.5, 1.0  # seconds; who waits for a cache longer than that had better do without


def redis_cache(url: str) -> dict[str, Any]:
    """Return the entry of CACHES."""
    from redis.backoff import NoBackoff  # a quarter of a second, spent only where there is a Redis
    from redis.retry import Retry

    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": url,
        "KEY_PREFIX": "igon7",
        "OPTIONS": {
            "serializer": SERIALIZER,
            "socket_connect_timeout": CONNECT,
            "socket_timeout": ANSWER,
            "retry": Retry(NoBackoff(), 0),
        },
    }
