from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("diagnostics", "0028_one_row_per_name")]

    operations = [migrations.RenameField(model_name="patient", old_name="made_up", new_name="is_synthetic")]
