"""The tables, in the order in which the data travels."""

from diagnostics.audit.models import AuditChain, AuditEvent, AuditLink
from diagnostics.peers.models import DicomPeer, PriorSearch, PriorStudy, Sending
from diagnostics.registry.models import GateResult, GateRules, ModelAlarm, ModelVersion, Promotion, PromotionRequest
from diagnostics.scans.looks import Look
from diagnostics.scans.models import Institution, Membership, ModelAdministrator, Patient, Scan, Study
from diagnostics.scans.sealed import SealedOriginal
from diagnostics.scans.series import Image, KeptInstance, QuarantinedFile, Series
from diagnostics.webhooks.models import Webhook, WebhookDelivery

from diagnostics.notifications.models import Notification, NotificationChoices  # isort: skip
from diagnostics.cases.models import Case  # isort: skip
from diagnostics.predictions.models import Prediction  # isort: skip
from diagnostics.reviews.models import Claim, Comment, Control, Draft, Read, SavedView

from diagnostics.shadow.models import ShadowOpinion  # isort: skip
from diagnostics.annotations.models import Annotation  # isort: skip
from diagnostics.datasets.models import DatasetItem, DatasetPlan, DatasetVersion, RuledOut  # isort: skip
from diagnostics.training.models import Retraining, TrainingRun  # isort: skip
from diagnostics.training.tested import TestedScan  # isort: skip
from diagnostics.monitoring.models import Alert, AlertRule  # isort: skip

__all__ = [
    "Alert",
    "AlertRule",
    "Annotation",
    "AuditChain",
    "AuditEvent",
    "AuditLink",
    "Case",
    "Claim",
    "Comment",
    "Control",
    "Draft",
    "DatasetItem",
    "DatasetPlan",
    "DatasetVersion",
    "DicomPeer",
    "GateResult",
    "GateRules",
    "Image",
    "Institution",
    "KeptInstance",
    "Look",
    "Membership",
    "ModelAdministrator",
    "ModelAlarm",
    "ModelVersion",
    "Notification",
    "NotificationChoices",
    "Patient",
    "Prediction",
    "PriorSearch",
    "PriorStudy",
    "Promotion",
    "PromotionRequest",
    "QuarantinedFile",
    "Read",
    "Retraining",
    "RuledOut",
    "SavedView",
    "Scan",
    "SealedOriginal",
    "Sending",
    "Series",
    "ShadowOpinion",
    "Study",
    "TestedScan",
    "TrainingRun",
    "Webhook",
    "WebhookDelivery",
]
