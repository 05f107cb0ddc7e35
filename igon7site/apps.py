"""The site's own app, and the admin without what must not be listed."""

from django.apps import AppConfig, apps
from django.contrib.admin import apps as admin_apps
from django.utils.translation import gettext_lazy as _

# django-q2's lists would load pickles; the others show what is a secret: tokens, and the keys of second factors.
_UNLISTED = ("django_q", "authtoken", "otp_totp", "otp_static", "django_otp_webauthn")


class SiteConfig(AppConfig):
    name = "igon7site"
    verbose_name = "igon7"


class AdminConfig(admin_apps.AdminConfig):
    default = False

    def ready(self) -> None:
        """Register every app's admin but for what must not be listed."""
        super().ready()
        from django.contrib import admin

        from security.admin_audit import audited

        admin.site.site_header = admin.site.site_title = _("igon7 administration")
        admin.site.index_title = _("Everything that is kept")
        for model, shown in list(admin.site._registry.items()):
            admin.site.unregister(model)
            admin.site.register(model, audited(type(shown)))
        for app in _UNLISTED:
            for model in apps.get_app_config(app).get_models():
                if admin.site.is_registered(model):
                    admin.site.unregister(model)
