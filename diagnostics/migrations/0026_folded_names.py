"""Room for the folded names of institutions, patients and studies, empty for now."""

from django.db import migrations

from diagnostics.scans.folding import FoldedField


class Migration(migrations.Migration):
    dependencies = [("diagnostics", "0025_blind_reads_say_when_they_were_revealed")]

    operations = [
        migrations.AddField(
            model_name="institution",
            name="code_folded",
            field=FoldedField(of="code", editable=False, max_length=160, null=True),
        ),
        migrations.AddField(
            model_name="patient",
            name="pseudonym_folded",
            field=FoldedField(of="pseudonym", editable=False, max_length=256, null=True),
        ),
        migrations.AddField(
            model_name="study",
            name="accession_folded",
            field=FoldedField(of="accession", blank=True, default="", editable=False, max_length=256),
        ),
    ]
