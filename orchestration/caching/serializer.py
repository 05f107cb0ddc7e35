"""How values lie in Redis: as JSON. Django's own serializer would unpickle what Redis sends."""

from __future__ import annotations

import json
from typing import Any


class JSONSerializer:
    """A `serializer` for Django's RedisCache. A number stays one that Redis can add to."""

    def dumps(self, value: Any) -> str:
        return json.dumps(value, separators=(",", ":"))

    def loads(self, data: bytes | str) -> Any:
        return json.loads(data)
