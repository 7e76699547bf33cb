"""The one Django app of the domain."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class DiagnosticsConfig(AppConfig):
    name = "diagnostics"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Guard the audit's tables, and let the reviews hear of who leaves."""
        # SQLite drops a table's triggers where a migration makes the table anew, whatever the migration was about.
        from .audit import guards
        from .reviews.worklist import on_leaving, on_left
        from .scans import people

        post_migrate.connect(guards.put_up, sender=self, dispatch_uid="audit guards")
        people.leaving.connect(on_leaving, dispatch_uid="reviews")
        people.left.connect(on_left, dispatch_uid="reviews")
