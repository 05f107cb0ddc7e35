from django.urls import URLPattern, URLResolver, path

from .frame import frame

urlpatterns: list[URLPattern | URLResolver] = [
    path("executions/<uuid:id>/frame/", frame, name="execution-frame"),
]
