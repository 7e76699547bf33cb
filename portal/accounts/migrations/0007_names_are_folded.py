"""Fill the folded names. Stops where two people's names differ only in the case of their letters."""

from collections import defaultdict

from django.db import migrations

from diagnostics.scans.folding import folded
from diagnostics.scans.twins import Twins, refuse


def fold(apps, schema_editor):
    User = apps.get_model("accounts", "User")
    people = User.objects.using(schema_editor.connection.alias)
    by_name = defaultdict(list)
    for pk, username in people.order_by("pk").values_list("pk", "username"):
        by_name[folded(username)].append((pk, username))
    found = [[username for _pk, username in same] for same in by_name.values() if len(same) > 1]
    refuse([Twins("people", "", names) for names in found])
    for name, [(pk, _username)] in by_name.items():
        people.filter(pk=pk).update(username_folded=name)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_limits_and_sessions")]

    operations = [migrations.RunPython(fold, migrations.RunPython.noop)]
