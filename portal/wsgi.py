"""WSGI entry point for gunicorn."""

import os

from django.core.checks.urls import check_url_config
from django.core.wsgi import get_wsgi_application

from portal.start.lengths import with_lengths
from portal.start.root import under_root
from portal.start.safety import refuse_unsafe

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

application = under_root(with_lengths(get_wsgi_application()))
# Before the processes part: each would load all pages again, at its first request.
check_url_config(None)
# Under whatever server this is loaded.
refuse_unsafe()
