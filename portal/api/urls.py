"""Addresses of the REST API, version 1."""

from django.urls import include, path, re_path
from rest_framework.routers import SimpleRouter

from .agreement import AgreementView
from .audit_events import AuditEventViewSet
from .cases import CaseViewSet
from .controls import ControlsView
from .dataset_versions import DatasetVersionViewSet
from .documentation import DocsView, SchemaView
from .model_versions import ModelVersionViewSet
from .monitor import AlertViewSet, MonitorView, NextLabelsView
from .notifications import NotificationViewSet
from .own_preferences import OwnPreferencesView
from .patients import PatientViewSet, StudyViewSet
from .people import InstitutionViewSet, UserViewSet
from .predictions import PredictionViewSet
from .promotion_requests import PromotionRequestViewSet
from .reads import ReadViewSet
from .resource import Nowhere
from .saved_views import SavedViewSet
from .scans import ScanViewSet
from .training_runs import TrainingRunViewSet
from .webhooks import WebhookDeliveryViewSet, WebhookViewSet

app_name = "api"

router = SimpleRouter(use_regex_path=False)  # type: ignore[call-arg] # newer than its stubs
router.register("scans", ScanViewSet, "scan")
router.register("predictions", PredictionViewSet, "prediction")
router.register("cases", CaseViewSet, "case")
router.register("worklist-views", SavedViewSet, "savedview")
router.register("reads", ReadViewSet, "read")
router.register("patients", PatientViewSet, "patient")
router.register("studies", StudyViewSet, "study")
router.register("notifications", NotificationViewSet, "notification")
router.register("institutions", InstitutionViewSet, "institution")
router.register("dataset-versions", DatasetVersionViewSet, "datasetversion")
router.register("training-runs", TrainingRunViewSet, "trainingrun")
router.register("model-versions", ModelVersionViewSet, "modelversion")
router.register("alerts", AlertViewSet, "alert")
router.register("promotion-requests", PromotionRequestViewSet, "promotionrequest")
router.register("webhooks/deliveries", WebhookDeliveryViewSet, "webhookdelivery")
router.register("webhooks", WebhookViewSet, "webhook")
router.register("audit-events", AuditEventViewSet, "auditevent")

urlpatterns = [
    path("v1/users/me/", UserViewSet.as_view({"get": "me"}), name="user-me"),
    path("v1/users/me/habits/", OwnPreferencesView.as_view({"get": "show", "post": "choose"}), name="own-habits"),
    path("v1/metrics/agreement/", AgreementView.as_view({"get": "show"}), name="agreement"),
    path("v1/metrics/next-labels/", NextLabelsView.as_view({"get": "show"}), name="next-labels"),
    path("v1/metrics/monitor/", MonitorView.as_view({"get": "show"}), name="monitor"),
    path("v1/metrics/controls/", ControlsView.as_view({"get": "show"}), name="controls"),
    path("v1/", include(router.urls)),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", DocsView.as_view(), name="docs"),
    # Everything else below /api/ is a problem document too, never an HTML page or a redirect.
    re_path("", Nowhere.as_view(), name="nowhere"),
]
