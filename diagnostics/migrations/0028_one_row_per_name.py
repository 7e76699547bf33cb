"""A code, a pseudonym, an accession number is one row's, in whatever case it is written."""

from django.db import migrations, models

from diagnostics.scans.folding import FoldedField


class Migration(migrations.Migration):
    dependencies = [("diagnostics", "0027_names_are_folded")]

    operations = [
        migrations.AlterField(
            model_name="institution",
            name="code_folded",
            field=FoldedField(of="code", editable=False, max_length=160, unique=True),
        ),
        migrations.AlterField(
            model_name="patient",
            name="pseudonym_folded",
            field=FoldedField(of="pseudonym", editable=False, max_length=256),
        ),
        migrations.RemoveConstraint(model_name="patient", name="one_patient_per_pseudonym"),
        migrations.AddConstraint(
            model_name="patient",
            constraint=models.UniqueConstraint(
                fields=("institution", "pseudonym_folded"), name="one_patient_per_pseudonym"
            ),
        ),
        migrations.RemoveConstraint(model_name="study", name="one_study_per_accession"),
        migrations.AddConstraint(
            model_name="study",
            constraint=models.UniqueConstraint(
                condition=models.Q(("accession", ""), _negated=True),
                fields=("patient", "accession_folded"),
                name="one_study_per_accession",
            ),
        ),
    ]
