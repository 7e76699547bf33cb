"""Every scan that is here becomes a stack of one image, and DICOM files give back what they say of themselves.

The originals lie in the storage whole, so study, series and instance are read from them. A file that is gone or cannot
be read leaves its scan without them; nothing else hangs on it. A file that names an instance which another file has
named before it, or a study that is another patient's, leaves them out too: the first one has them.
"""

import io

import pydicom
import structlog
from django.core.files.storage import default_storage
from django.db import migrations, transaction
from django.utils import timezone
from pydicom.uid import UID

log = structlog.get_logger(__name__)
TAGS = [
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "SeriesNumber",
    "Modality",
    "FrameOfReferenceUID",
    "InstanceNumber",
]
INSTITUTIONS = """
UPDATE diagnostics_study SET institution_id =
    (SELECT institution_id FROM diagnostics_patient WHERE diagnostics_patient.id = diagnostics_study.patient_id)
"""
IMAGES = """
INSERT INTO diagnostics_image (institution_id, scan_id, "index", revision, sop_uid, frame, sha256, size_bytes,
    original, pixels, preview, width, height, bits, facts, created_at)
SELECT institution_id, id, 0, 1, '', 0, sha256, size_bytes, original, pixels, preview, width, height, bits, '{}', created_at
FROM diagnostics_scan ORDER BY created_at, id
"""


# SQLite uses no index with a condition for a value that it is only handed, and would walk all images for each file.
MEANWHILE = (
    ("image_meanwhile", "diagnostics_image (institution_id, sop_uid)"),
    ("study_meanwhile", "diagnostics_study (institution_id, uid)"),
)


def forwards(apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute(INSTITUTIONS)
        cursor.execute(IMAGES)
        if connection.vendor == "sqlite":
            for name, columns in MEANWHILE:
                cursor.execute(f"CREATE INDEX {name} ON {columns}")
        else:
            # So many rows at once that the server knows nothing of yet.
            cursor.execute("ANALYZE diagnostics_image")
            cursor.execute("ANALYZE diagnostics_study")
    _identify_all(apps)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            for name, _columns in MEANWHILE:
                cursor.execute(f"DROP INDEX {name}")


def _identify_all(apps):
    dicom = apps.get_model("diagnostics", "Scan").objects.filter(format="dicom").order_by("created_at", "id")
    for scan in dicom.only("id", "original", "institution_id", "study_id", "created_at").iterator():
        said = _said(scan.original)
        if said:
            _identify(apps, scan, said)


def _said(key):
    """What a stored file says of itself: a dict, empty where it cannot be read."""
    try:
        with default_storage.open(key) as file:
            header = pydicom.dcmread(io.BytesIO(file.read()), stop_before_pixels=True, force=True, specific_tags=TAGS)
        return {tag: str(header.get(tag) or "").strip() for tag in TAGS}
    except Exception as error:  # whatever a file of years ago holds, the upgrade must not end at it
        log.warning("identity_not_read", file=key, error=type(error).__name__)
        return {}


def _identify(apps, scan, said):
    study_uid, series_uid, sop_uid = (
        _uid(said[tag]) for tag in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    )
    images = apps.get_model("diagnostics", "Image").objects
    if sop_uid and not images.filter(institution=scan.institution_id, sop_uid=sop_uid, frame=0).exists():
        images.filter(scan=scan.pk).update(sop_uid=sop_uid, instance_number=_number(said["InstanceNumber"]))
    if not (study_uid and _is_study(apps, scan, study_uid)) or not series_uid:
        return
    series, made = apps.get_model("diagnostics", "Series").objects.get_or_create(
        institution_id=scan.institution_id,
        uid=series_uid,
        defaults={
            "study_id": scan.study_id,
            "number": _number(said["SeriesNumber"], least=0),
            "modality": said["Modality"][:16],
            "frame_of_reference": _uid(said["FrameOfReferenceUID"]),
            "arrival": "complete",
            "close_at": scan.created_at,
            "closed_at": timezone.now(),
        },
    )
    if made or series.study_id == scan.study_id:
        apps.get_model("diagnostics", "Scan").objects.filter(pk=scan.pk).update(series=series)


def _is_study(apps, scan, uid):
    """Give the scan's study this UID; whether it has it now. One that was filed from several keeps the first."""
    studies = apps.get_model("diagnostics", "Study").objects
    found = studies.filter(institution=scan.institution_id, uid=uid).first()
    if found is not None:
        return found.pk == scan.study_id
    with transaction.atomic():
        return bool(studies.filter(pk=scan.study_id, uid="").update(uid=uid))


def _uid(value):
    return value if value and len(value) <= 64 and UID(value).is_valid else ""


def _number(value, least=-(2**31)):
    try:
        number = int(value)
    except ValueError:
        return None
    return number if least <= number < 2**31 else None


class Migration(migrations.Migration):

    dependencies = [
        ("diagnostics", "0035_series"),
    ]

    operations = [
        migrations.RunPython(forwards, migrations.RunPython.noop, elidable=False),
    ]
