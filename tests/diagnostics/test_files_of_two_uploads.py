"""Two bring the same bytes at the same moment: one who finds no room takes nothing from the other."""

import pytest
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection

from diagnostics import disk, pipeline
from diagnostics.scans import intake, services
from diagnostics.scans.access import Role
from diagnostics.scans.models import Scan
from tests.factories import InstitutionFactory, person, phantom


@pytest.mark.django_db(transaction=True)
def test_upload_that_finds_the_database_full_leaves_the_files_of_another() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite can be told to be full")
    institution = InstitutionFactory()
    user = person(Role.TECHNOLOGIST, institution)
    with connection.cursor() as cursor:
        before = cursor.execute("PRAGMA max_page_count").fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {cursor.execute('PRAGMA page_count').fetchone()[0]}")
    refused = 0
    try:
        for seed in range(60):
            # The other one has written the files, and is about to write its rows.
            keys = services.keep_files(institution, intake.ingest(phantom(seed)))
            try:
                pipeline.submit_scan(by=user, institution=institution, data=phantom(seed), patient="P-1")
            except (DatabaseError, disk.StorageFull) as error:
                assert disk.is_full(error), error
                refused += 1
            assert all(default_storage.exists(key) for key in keys.values())
            if refused:
                break
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA max_page_count = {before}")
    assert refused
    assert pipeline.submit_scan(by=user, institution=institution, data=phantom(99), patient="P-1").created
    assert Scan.objects.count() >= 1
