"""Objects that come with a study and are no images to read: kept, listed with the study, never analysed."""

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils.translation import gettext as _

from diagnostics.actors import Actor
from diagnostics.audit.services import record

from .access import Permission, require
from .filing import Filing, study_for
from .intake import KeptFile
from .models import Institution
from .series import KeptInstance, KeptKind


def keep(*, by: Actor, institution: Institution, file: KeptFile, place: Filing) -> tuple[KeptInstance, bool]:
    """Keep a file with its study; (row, whether it is new). The same instance twice is once.

    Raises
    ------
    NotAllowed, StudyElsewhere
    """
    require(by, Permission.SUBMIT_SCAN, institution)
    key = f"{institution.pk}/{file.sha256[:2]}/{file.sha256}/original"
    default_storage.save(key, ContentFile(file.original))
    said = file.instance
    with transaction.atomic():
        row, made = KeptInstance.objects.get_or_create(
            institution=institution,
            sop_uid=said.sop_uid,
            defaults={
                "study": study_for(institution, place, said.study_date, uid=said.study_uid or ""),
                "kind": said.kind if said.kind in KeptKind.values else KeptKind.OTHER,
                "sha256": file.sha256,
                "size_bytes": len(file.original),
                "original": key,
            },
        )
        if made:
            record(by=by, act="instance_kept", target=row, institution=institution, kind=row.kind)
    return row, made


def kept_in_words(row: KeptInstance) -> str:
    """What became of a file that is no image to read, as a sentence."""
    return _("%(kind)s: kept with the study. It is not analysed.") % {"kind": row.get_kind_display()}
