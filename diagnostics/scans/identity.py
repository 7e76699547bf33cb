"""Who a patient is does not come past the door where the institution wants so (ADR 0020).

A DICOM file is de-identified before anything of it is decoded, filed or logged. What came lies apart, encrypted with
the key of the installation, and is opened with a reason that is audited.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from diagnostics.actors import Actor
from diagnostics.audit.services import record
from diagnostics.errors import Invalid, Unavailable
from mlcore.images.deidentify.keyed import new_uid
from mlcore.images.dicom.instance import Instance

from . import decoding
from .access import Permission, require
from .instances import instance_from
from .institution_models import SHORTEST_IDENTITY_KEY
from .intake import in_our_words
from .models import Identity, Institution, Study
from .sealed import SealedOriginal
from .series import Image

_MARK, _NONCE = b"OVRS1", 12


class NoIdentityKey(Unavailable):
    """The institution wants files de-identified, and the installation has no key for it."""

    code = "no_identity_key"
    message = _(
        "DICOM files cannot be de-identified: OVERREAD_IDENTITY_KEY is missing or too short. Nothing was stored."
    )


class BurnedInText(Invalid):
    """A file says that text is drawn in its pixels, where no rule removes it."""

    code = "burned_in_text"
    message = _("This file says that text is drawn in its image, which may name the patient. It was not stored.")


class NotOpened(Invalid):
    """A sealed original cannot be opened."""

    code = "not_opened"


@dataclass(frozen=True)
class Hidden:
    """What is stored of a file, under which patient, and the untouched bytes to be sealed."""

    data: bytes
    pseudonym: str
    burned_in: str
    untouched: bytes


def hidden(institution: Institution, data: bytes) -> Hidden | None:
    """The file without who the patient is; None where it is none of DICOM, or the institution keeps files as sent.

    Raises
    ------
    NoIdentityKey, BurnedInText, FileRefused, DecodingUnavailable
    """
    if institution.identity == Identity.AS_SENT:
        return None
    # The process that parses what strangers sent gets the key of this institution's names, never that of the seals.
    with in_our_words():
        made = decoding.deidentify(data, _key("names", institution))
    if made is None:
        return None
    if made["burned_in"] == "yes":
        raise BurnedInText
    return Hidden(made["file"], made["pseudonym"], made["burned_in"], data)


def seal(*, by: Actor, institution: Institution, file: Hidden) -> None:
    """Keep what came, encrypted. Twice is once."""
    stored_sha256 = hashlib.sha256(file.data).hexdigest()
    rows = SealedOriginal.objects.filter(institution=institution, stored_sha256=stored_sha256)
    if rows.exists():
        return
    nonce = os.urandom(_NONCE)
    sealed = _MARK + nonce + _cipher(institution).encrypt(nonce, file.untouched, stored_sha256.encode())
    sha256 = hashlib.sha256(sealed).hexdigest()
    key = f"identity/{institution.pk}/{sha256[:2]}/{sha256}"
    default_storage.save(key, ContentFile(sealed))
    with transaction.atomic():
        row, made = SealedOriginal.objects.get_or_create(
            institution=institution,
            stored_sha256=stored_sha256,
            defaults={"sha256": sha256, "size_bytes": len(sealed), "original": key},
        )
        if made:
            record(by=by, act="original_sealed", target=row, institution=institution, burned_in=file.burned_in)


def opened(*, by: Actor, row: SealedOriginal, reason: str) -> bytes:
    """The file as it came, for an administrator of its institution who says why.

    Raises
    ------
    NotAllowed, NotOpened, NoIdentityKey
    """
    require(by, Permission.ADMINISTER, row.institution)
    if not reason.strip():
        raise NotOpened(_("Say why the original is opened."))
    with transaction.atomic():
        record(by=by, act="original_opened", target=row, institution=row.institution, reason=reason.strip())
    return _unsealed(row)


def _unsealed(row: SealedOriginal) -> bytes:
    with default_storage.open(row.original) as file:
        sealed = file.read()
    nonce, rest = sealed[len(_MARK) : len(_MARK) + _NONCE], sealed[len(_MARK) + _NONCE :]
    try:
        return _cipher(row.institution).decrypt(nonce, rest, row.stored_sha256.encode())
    except (InvalidTag, ValueError) as error:
        raise NotOpened(_("The original was sealed with another key, or was changed since.")) from error


def as_sent(study: Study) -> Instance | None:
    """What a DICOM file of a study said of itself before anything of it was hidden; None where there is none.

    For questions to the hospital's own archive, and for nothing that is shown here.

    Raises
    ------
    NoIdentityKey, NotOpened, FileRefused, DecodingUnavailable
    """
    images = Image.objects.filter(scan__study=study).exclude(sop_uid="").order_by("pk")
    image = images.first()
    if image is None:
        return None
    sealed = SealedOriginal.objects.filter(institution=study.institution, stored_sha256=image.sha256).first()
    if sealed is None:
        with default_storage.open(image.original) as file:
            data: bytes = file.read()
    else:
        with transaction.atomic():
            record(by=None, act="original_opened", target=sealed, institution=study.institution, reason="priors")
        data = _unsealed(sealed)
    with in_our_words():
        return instance_from(decoding.take(data)["instance"])


def known_as(institution: Institution, uid: str) -> str:
    """The UID under which a file that has this one is stored here."""
    return uid if institution.identity == Identity.AS_SENT else new_uid(_key("names", institution), uid)


def _key(purpose: str, institution: Institution) -> bytes:
    if len(settings.IDENTITY_KEY) < SHORTEST_IDENTITY_KEY:
        raise NoIdentityKey
    of = f"overread\0{purpose}\0{institution.pk}"
    return hmac.new(settings.IDENTITY_KEY.encode(), of.encode(), hashlib.sha256).digest()


def _cipher(institution: Institution) -> AESGCM:
    return AESGCM(_key("seals", institution))
