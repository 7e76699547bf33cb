from django.db import migrations, models


class Migration(migrations.Migration):
    """The column has held nothing so far, and JSON does not become text by itself."""

    dependencies = [
        ("diagnostics", "0038_cases_are_of_what_is_analysed"),
    ]

    operations = [
        migrations.RemoveField(model_name="read", name="key_images"),
        migrations.AddField(
            model_name="read",
            name="key_images",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Numbers of the images of a stack that show the finding, counted from 1.",
                max_length=200,
            ),
        ),
    ]
