"""The site's own app, and the admin without django-q2's tables."""

from django.apps import AppConfig, apps
from django.contrib.admin import apps as admin_apps


class SiteConfig(AppConfig):
    name = "igon7site"
    verbose_name = "igon7"


class AdminConfig(admin_apps.AdminConfig):
    default = False

    def ready(self) -> None:
        """Register every app's admin but django-q2's: listing its results would load pickles."""
        super().ready()
        from django.contrib import admin

        for model in apps.get_app_config("django_q").get_models():
            if admin.site.is_registered(model):
                admin.site.unregister(model)
