from django.urls import URLPattern, URLResolver, path

from .frame import frame
from .views import home

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home, name="home"),
    path("executions/<uuid:id>/frame/", frame, name="execution-frame"),
]
