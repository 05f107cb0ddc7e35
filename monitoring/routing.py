from django.urls import URLPattern, path

from .consumers import ExecutionConsumer

websocket_urlpatterns: list[URLPattern] = [
    path("ws/executions/<uuid:id>/", ExecutionConsumer.as_asgi()),
]
