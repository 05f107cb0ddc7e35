"""JSON from outside: read whole or refused, with the place of the fault."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from django.utils.translation import gettext as _

from orchestration.engine.errors import Igon7Error


class InvalidJSON(Igon7Error):
    """{what} is not JSON igon7 can read: {reason}."""

    code = "invalid_json"


def loads(data: bytes | str, what: str) -> Any:
    """Return the value of a JSON text. Raises InvalidJSON naming `what`, and line and column if known."""
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        if "\\u" in text:  # only an escape can make a lone surrogate
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        where = _("line %(line)d, column %(column)d") % {"line": error.lineno, "column": error.colno}
        raise InvalidJSON(what=what, reason=f"{error.msg}, {where}") from None
    except UnicodeDecodeError as error:
        raise InvalidJSON(what=what, reason=_("byte %d is not UTF-8") % error.start) from None
    except UnicodeEncodeError:
        raise InvalidJSON(what=what, reason=_("a text in it contains a lone surrogate")) from None
    except RecursionError:
        raise InvalidJSON(what=what, reason=_("it is nested too deeply")) from None
    except ValueError as error:  # a number; Python says so of whole ones beyond 4,300 digits
        raise InvalidJSON(what=what, reason=str(error).split(";")[0]) from None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(_("%s is not a JSON number") % name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(_("the number %s is too large") % text[:40])
    return value
