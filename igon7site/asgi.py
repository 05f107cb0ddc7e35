"""ASGI: pages and API over http, the live view over WebSockets."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "igon7site.settings")
http = get_asgi_application()  # sets Django up: what follows may then import models

from igon7site.setup.pool import borrow_connections  # noqa: E402
from monitoring.routing import websocket_urlpatterns  # noqa: E402

borrow_connections()
application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
