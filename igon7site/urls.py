"""All URLs. Home belongs to monitoring; error pages are the templates 400, 403, 404 and 500.html."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("monitoring.web.urls")),
    path("", include("orchestration.web.urls")),
    path("", include("security.web.urls")),
    path("api/v1/", include("orchestration.api.urls")),
    path("admin/", admin.site.urls),
]
