"""Fill the folded names. Stops where two people's names differ only in the case of their letters."""

from django.db import migrations

from diagnostics.scans.folding import fill
from diagnostics.scans.twins import of_people, refuse


def fold(apps, schema_editor):
    alias = schema_editor.connection.alias
    refuse(of_people(apps, alias))
    fill(apps.get_model("accounts", "User"), "username", alias)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_limits_and_sessions")]

    operations = [migrations.RunPython(fold, migrations.RunPython.noop)]
