from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "igon7site.demo"
    label = "demo"
    verbose_name = "igon7 demo workflows"
