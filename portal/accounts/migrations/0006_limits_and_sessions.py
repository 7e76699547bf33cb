"""Counts of tries, sessions that people see, addresses that wait; and the folded names, empty for now."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import diagnostics.scans.folding
import portal.accounts.models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_own_keys")]

    operations = [
        migrations.CreateModel(
            name="AttemptCount",
            fields=[
                ("key", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("count", models.PositiveIntegerField()),
                (
                    "ends_at",
                    models.FloatField(
                        db_index=True, help_text="Seconds of the clock at which the count begins anew."
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="OpenSession",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("session_key", models.CharField(max_length=40, unique=True)),
                ("address", models.CharField(blank=True, default="", max_length=45)),
                (
                    "agent",
                    models.CharField(
                        blank=True, default="", help_text="What the browser says it is.", max_length=300
                    ),
                ),
                ("began_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField()),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="open_sessions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"ordering": ["-seen_at", "-pk"]},
        ),
        migrations.CreateModel(
            name="AddressChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("address", models.EmailField(max_length=254)),
                (
                    "digest",
                    models.CharField(help_text="SHA-256 of the word in the link.", max_length=64, unique=True),
                ),
                ("asked_at", models.DateTimeField()),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="address_change",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AlterModelManagers(name="user", managers=[("objects", portal.accounts.models.People())]),
        migrations.AddField(
            model_name="user",
            name="username_folded",
            field=diagnostics.scans.folding.FoldedField(of="username", editable=False, max_length=600, null=True),
        ),
    ]
