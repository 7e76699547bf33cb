"""The roles that a person may have in an institution, and the permissions that each role carries."""

from enum import StrEnum

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    TECHNOLOGIST = "technologist", _("Technologist")
    RADIOLOGIST = "radiologist", _("Radiologist")
    ADJUDICATOR = "adjudicator", _("Adjudicator")
    DATA_MANAGER = "data_manager", _("Data manager")
    ADMINISTRATOR = "administrator", _("Administrator")


class Permission(StrEnum):
    SEE_SCANS = "see_scans"  # scans, patients and cases of the institution
    SUBMIT_SCAN = "submit_scan"
    RETRY_PREDICTION = "retry_prediction"
    READ_CASE = "read_case"  # claim, read, amend one's own reads
    ADJUDICATE = "adjudicate"
    SEE_OPINIONS = "see_opinions"  # the AI's opinion before the reader has spoken
    SEE_READS = "see_reads"  # reads of others while a case is open
    FREEZE_DATASET = "freeze_dataset"
    TRAIN = "train"
    SEE_MODELS = "see_models"
    PROPOSE_PROMOTION = "propose_promotion"  # asks, and changes nothing
    ASSIGN_MODEL_ALIASES = "assign_model_aliases"  # let a model challenge, put one aside
    PROMOTE = "promote"  # also: approve what somebody proposed, roll back, declare the gate's rules
    SET_LIMITS = "set_limits"  # of the alerts about the model in use
    SEE_AUDIT = "see_audit"
    ADMINISTER = "administer"


_DATA_MANAGER = frozenset(
    {
        Permission.SEE_SCANS,
        Permission.SUBMIT_SCAN,  # imports folders, so uploads
        Permission.RETRY_PREDICTION,
        Permission.SEE_OPINIONS,
        Permission.SEE_READS,
        Permission.FREEZE_DATASET,
        Permission.TRAIN,
        Permission.SEE_MODELS,
        Permission.PROPOSE_PROMOTION,
        Permission.ASSIGN_MODEL_ALIASES,
    }
)
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.TECHNOLOGIST: frozenset({Permission.SEE_SCANS, Permission.SUBMIT_SCAN, Permission.RETRY_PREDICTION}),
    Role.RADIOLOGIST: frozenset({Permission.SEE_SCANS, Permission.READ_CASE, Permission.RETRY_PREDICTION}),
    Role.ADJUDICATOR: frozenset({Permission.SEE_SCANS, Permission.ADJUDICATE, Permission.RETRY_PREDICTION}),
    Role.DATA_MANAGER: _DATA_MANAGER,
    Role.ADMINISTRATOR: _DATA_MANAGER
    | {Permission.PROMOTE, Permission.SET_LIMITS, Permission.SEE_AUDIT, Permission.ADMINISTER},
}
# All institutions are served by one model: where there are several, a role in one of them is not enough (ADR 0012).
OF_THE_SHARED_MODEL = frozenset({Permission.ASSIGN_MODEL_ALIASES, Permission.PROMOTE, Permission.SET_LIMITS})
# Whoever may still be asked to read a case stays blind to it, whatever other roles they hold.
READING_ROLES = (Role.RADIOLOGIST, Role.ADJUDICATOR)


def roles_with(permission: Permission) -> list[Role]:
    """The roles that carry a permission."""
    return [role for role, carried in PERMISSIONS.items() if permission in carried]
