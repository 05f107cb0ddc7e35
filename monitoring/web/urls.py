from django.urls import URLPattern, URLResolver, path

from security.web.zones import in_own_zone

from .frame import frame
from .views import home

urlpatterns: list[URLPattern | URLResolver] = [
    path("", in_own_zone(home), name="home"),
    path("executions/<uuid:id>/frame/", frame, name="execution-frame"),
]
