"""How Django finds the pages of the domain: its own admin, which also loads the modules of this room."""

from importlib import import_module

from django.contrib.admin.apps import AdminConfig

PAGES = (
    "auditing",
    "learning",
    "monitoring",
    "peers",
    "people",
    "reading",
    "registry",
    "retraining",
    "scans",
    "webhooks",
)


class PortalAdminConfig(AdminConfig):
    """Django's admin. It discovers ``admin.py`` of every app; the domain has none, its pages belong to the portal."""

    def ready(self) -> None:
        super().ready()
        for page in PAGES:
            import_module(f"portal.admin.{page}")
