"""Give each case of a stack of a DICOM series the study that it is read with."""

from django.db import migrations
from django.db.models import OuterRef, Subquery

BATCH = 5000


def forwards(apps, schema_editor):
    Case, Scan = apps.get_model("diagnostics", "Case"), apps.get_model("diagnostics", "Scan")
    cases = Case.objects.using(schema_editor.connection.alias)
    study = Scan.objects.filter(pk=OuterRef("scan")).values("study")[:1]
    waiting = list(cases.filter(scan__series__isnull=False).order_by().values_list("pk", flat=True))
    for begin in range(0, len(waiting), BATCH):
        cases.filter(pk__in=waiting[begin : begin + BATCH]).update(study=Subquery(study))


class Migration(migrations.Migration):

    dependencies = [
        ('diagnostics', '0046_cases_of_a_study'),
    ]

    operations = [
        migrations.RunPython(forwards, migrations.RunPython.noop, elidable=False),
    ]
