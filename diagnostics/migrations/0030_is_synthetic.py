from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("diagnostics", "0029_a_run_has_an_environment")]

    operations = [migrations.RenameField(model_name="patient", old_name="made_up", new_name="is_synthetic")]
