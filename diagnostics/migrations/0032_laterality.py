from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('diagnostics', '0031_leased_rows_are_alike'),
    ]

    operations = [
        migrations.AddField(
            model_name='read',
            name='laterality',
            field=models.CharField(choices=[('not_stated', 'Not stated'), ('left', 'Left'), ('right', 'Right'), ('midline', 'Midline'), ('bilateral', 'Bilateral')], default='not_stated', help_text="The patient's side on which the tumour lies.", max_length=12),
        ),
        migrations.AddConstraint(
            model_name='read',
            constraint=models.CheckConstraint(condition=models.Q(('laterality', 'not_stated'), models.Q(('label__in', ['tumour', 'glioma', 'meningioma', 'pituitary']), ('laterality__in', ['left', 'right', 'midline', 'bilateral'])), _connector='OR'), name='only_a_tumour_has_a_side'),
        ),
    ]
