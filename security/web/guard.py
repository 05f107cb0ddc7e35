"""What every view wears: the action that it asks for, or why it is open to everybody."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, TypeAlias, TypeVar

from django.contrib.auth.views import redirect_to_login
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from security.actions import declared
from security.policies import authorise
from security.principals import Principal

View: TypeAlias = Callable[..., HttpResponseBase]
Loader: TypeAlias = Callable[..., Model]
V = TypeVar("V", bound=Callable[..., Any])

MARK = "igon7_guard"


def requires(action: str, load: Loader | None = None) -> Callable[[View], View]:
    """Let a function view run only for principals who may do `action`.

    `load(principal, **url_kwargs)` fetches the object asked about (from `visible_to`, or raises Http404). It
    takes those of the URL's arguments that it names; the view gets the object, authorised, and the others:
    `view(request, obj, **others)`. Nobody logged in: redirect to the login page, which comes back.
    A sensitive action asks for a second factor first, and comes back. Raises Denied (a 403) and, at import,
    UnknownAction.
    """
    declared(action)
    taken = set(signature(load).parameters) if load else set()

    def wrap(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            principal = Principal.for_request(request)
            if principal.kind == "anonymous":
                return _to_login(request)
            if load is None:
                authorise(principal, action)
                return _asked(request, action, principal) or view(request, **kwargs)
            obj = load(principal, **{name: kwargs.pop(name) for name in taken & kwargs.keys()})
            authorise(principal, action, obj)
            return _asked(request, action, principal) or view(request, obj, **kwargs)

        setattr(guarded, MARK, action)
        return guarded

    return wrap


def _asked(request: HttpRequest, action: str, principal: Principal) -> HttpResponseBase | None:
    """Return what asks for the second factor that a sensitive action needs; None when there is nothing to ask."""
    if not declared(action).sensitive:
        return None
    from security.web.step_up import answer_for

    return answer_for(request, action, principal)


def public(why: str) -> Callable[[V], V]:
    """Mark a view that needs no permission; `why` is for whoever reviews it."""

    def mark(view: V) -> V:
        setattr(view, MARK, f"public: {why}")
        return view

    return mark


def _to_login(request: HttpRequest) -> HttpResponseBase:
    # A fragment or a POST cannot be come back to; the page that it was asked from can.
    if request.headers.get("HX-Request") == "true":
        login = redirect_to_login(request.headers.get("HX-Current-URL", "/"))
        return HttpResponse(status=204, headers={"HX-Redirect": login.url})
    return redirect_to_login(request.get_full_path() if request.method in ("GET", "HEAD") else "/")
