"""WSGI, for pages and API without the live view (which needs asgi.py)."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "igon7site.settings")
application = get_wsgi_application()
