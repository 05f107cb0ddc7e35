"""Which of Django's caches may hold results: what comes out of a store is read as JSON, and never unpickled."""

from __future__ import annotations

from django.conf import settings

from .engine.errors import GraphError
from .engine.graph import Graph

SERIALIZER = "orchestration.caching.serializer.JSONSerializer"
_REDIS = "django.core.cache.backends.redis.RedisCache"
# What these read from outside of the process they give to pickle, before anybody could look at it.
_UNPICKLING = (
    "django.core.cache.backends.db.",
    "django.core.cache.backends.filebased.",
    "django.core.cache.backends.memcached.",
)


def check(graph: Graph) -> None:
    """Raise GraphError, naming the node, for a store that there is none of, or that would unpickle what it reads."""
    for node in graph.nodes.values():
        if node.cache is not None and (why := unusable(node.cache.store)):
            raise GraphError(
                f'Node "{node.id}" of workflow "{graph.name}" has the cache store "{node.cache.store}". {why}'
            )


def unusable(alias: str) -> str:
    """Return the sentence that says why results cannot be kept there; "" where they can."""
    about = settings.CACHES.get(alias)
    if about is None:
        known = ", ".join(sorted(settings.CACHES))
        return f'CACHES has no such alias; it has {known}. ("redis" is there once REDIS_URL is given.)'
    backend = about["BACKEND"]
    pickles = backend.startswith(_UNPICKLING) or (
        backend == _REDIS and about.get("OPTIONS", {}).get("serializer") != SERIALIZER
    )
    return f"Its backend unpickles what it reads. Give it {SERIALIZER}, or use another." if pickles else ""
