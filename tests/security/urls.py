"""The real site, and below probe/ views guarded in each way that there is; three of them wrongly."""

from typing import Any

from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import include, path
from rest_framework.generics import RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

from igon7site import urls as site
from security.actions import AUDIT_VIEW, CONSOLE_OPEN, WORKER_VIEW
from security.api.permissions import ActionPermission
from security.models import AuditRecord
from security.policies import visible_to
from security.principals import Principal
from security.web.guard import public, requires


@requires(CONSOLE_OPEN)
def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("home")


def load_record(principal: Principal, pk: int) -> AuditRecord:
    return get_object_or_404(visible_to(principal, AuditRecord.objects.all()), pk=pk)


@requires(AUDIT_VIEW, load_record)
def record_page(request: HttpRequest, record: AuditRecord, part: str) -> HttpResponse:
    return HttpResponse(getattr(record, part))


@requires(WORKER_VIEW)
def workers(request: HttpRequest) -> HttpResponse:
    return HttpResponse("workers")


@requires(CONSOLE_OPEN)
def fails(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("on purpose")


@public("everybody may see it")
def open_page(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("open")
    response.headers["Content-Security-Policy"] = "sandbox"
    return response


def bare(request: HttpRequest) -> HttpResponse:
    return HttpResponse("bare")


class Plain(APIView):
    """Answers errors in Django REST framework's own shape, whatever the site's is."""

    def get_exception_handler(self) -> Any:
        return exception_handler


class GroupAPI(Plain, RetrieveAPIView):
    permission_classes = [ActionPermission]
    required_actions = {"get": "group.change"}

    def get_queryset(self) -> Any:
        return visible_to(Principal.for_request(self.request), Group.objects.all())

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response({"forgot": "to fetch the object"})


class HalfAPI(Plain):
    permission_classes = [ActionPermission]
    required_actions = {"get": CONSOLE_OPEN}

    def get(self, request: Request) -> Response:
        return Response({"principal": Principal.for_request(request).to_json()})

    def post(self, request: Request) -> Response:
        return Response({})


class BareAPI(APIView):
    def get(self, request: Request) -> Response:
        return Response({})


probes = [
    path("home/", home),
    path("records/<int:pk>/<slug:part>/", record_page),
    path("workers/", workers),
    path("fails/", fails),
    path("open/", open_page),
    path("bare/", bare),
    path("api/groups/<int:pk>/", GroupAPI.as_view()),
    path("api/half/", HalfAPI.as_view()),
    path("api/bare/", BareAPI.as_view()),
]
urlpatterns = [path("probe/", include(probes)), *site.urlpatterns]
