from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OrchestrationConfig(AppConfig):
    name = "orchestration"
    verbose_name = _("orchestration")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import guards
        from .store import clock  # noqa: F401 - teaches SQLite connections the clock

        guards.register()
