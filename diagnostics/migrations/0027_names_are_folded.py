"""Fill the folded names. Stops where two of one kind differ only in the case of their letters."""

from django.db import migrations

from diagnostics.scans.folding import fill
from diagnostics.scans.twins import of_scans, refuse


def fold(apps, schema_editor):
    alias = schema_editor.connection.alias
    refuse(of_scans(apps, alias))
    for name, column in (("Institution", "code"), ("Patient", "pseudonym"), ("Study", "accession")):
        fill(apps.get_model("diagnostics", name), column, alias)


class Migration(migrations.Migration):
    dependencies = [("diagnostics", "0026_folded_names")]

    operations = [migrations.RunPython(fold, migrations.RunPython.noop)]
