from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_preferences")]

    operations = [migrations.RenameField(model_name="preferences", old_name="goes_on", new_name="auto_advance")]
