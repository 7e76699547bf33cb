"""What a person or a client meets: settings, accounts, pages, REST API."""

# Without this import Celery's current app in the web process has no broker and .delay() goes nowhere, silently.
from celery_worker import app as celery_app

__all__ = ["celery_app"]
