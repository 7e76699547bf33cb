"""A name is one person's, in whatever case it is written."""

from django.db import migrations

import diagnostics.scans.folding


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_names_are_folded")]

    operations = [
        migrations.AlterField(
            model_name="user",
            name="username_folded",
            field=diagnostics.scans.folding.FoldedField(of="username", editable=False, max_length=600, unique=True),
        ),
    ]
