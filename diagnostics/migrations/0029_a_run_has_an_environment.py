from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('diagnostics', '0028_one_row_per_name'),
    ]

    operations = [
        migrations.RenameField(model_name='trainingrun', old_name='surroundings', new_name='environment'),
    ]
