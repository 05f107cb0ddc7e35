"""URLs of the pages about identity."""

from django.urls import path

from security.web import audit, views
from security.web.zones import in_own_zone

urlpatterns = [
    path("login/", views.login, name="login"),
    path("logout/", views.logout, name="logout"),
    path("audit/", in_own_zone(audit.records), name="audit"),
    path("audit/export/", audit.take_along, name="audit_export"),
]
