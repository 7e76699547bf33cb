"""ASGI entry point; the portal runs under WSGI by default (see docs/adr)."""

import os

from django.core.asgi import get_asgi_application

from portal.start.safety import refuse_unsafe

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

application = get_asgi_application()
refuse_unsafe()
