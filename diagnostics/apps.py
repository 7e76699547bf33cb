"""The one Django app of the domain."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class DiagnosticsConfig(AppConfig):
    name = "diagnostics"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # SQLite drops a table's triggers where a migration makes the table anew, whatever the migration was about.
        from .audit import guards

        post_migrate.connect(guards.put_up, sender=self, dispatch_uid="audit guards")
