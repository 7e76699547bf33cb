"""What every command of ours does alike."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from diagnostics.errors import DomainError


class DomainCommand(BaseCommand):
    """A command that ends with the sentence of whatever the domain refuses, and with exit code 1."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; called by Django."""
        try:
            return super().execute(*args, **options)
        except DomainError as refusal:
            raise CommandError(refusal.sentence) from refusal
